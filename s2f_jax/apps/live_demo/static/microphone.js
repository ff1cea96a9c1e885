// The microphone as chunks of int16, and the time at which each moment was recorded.

export class Microphone {
  #context = null;
  #stream = null;
  #node = null;
  #startTime = Infinity; // By performance.now(): the earliest that the chunks allow.
  #samples = 0;

  // Opens the microphone, at the model's rate if the browser can: resampling adds latency.
  // onChunk(int16 samples, peak in [0, 1]); onLost(): it was unplugged.
  // Throws DOMException if there is none, or it is not allowed.
  async open(rate, onChunk, onLost) {
    const audio = {
      channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false,
    };
    this.#stream = await navigator.mediaDevices.getUserMedia({audio});
    try {
      await this.#connect(new AudioContext({sampleRate: rate, latencyHint: 'interactive'}));
    } catch (error) {
      if (error.name !== 'NotSupportedError') throw error;
      await this.#connect(new AudioContext({latencyHint: 'interactive'}));
    }
    this.#node.port.onmessage = ({data}) => {
      if (data.samples === undefined) return;
      this.#samples += data.samples.length;
      this.#startTime = Math.min(this.#startTime, performance.now() - 1000 * this.#samples / this.rate);
      onChunk(data.samples, data.peak);
    };
    this.#stream.getAudioTracks()[0].onended = onLost;
  }

  async #connect(context) {
    this.#context = context;
    await context.audioWorklet.addModule('recorder.js');
    const source = context.createMediaStreamSource(this.#stream);
    this.#node = new AudioWorkletNode(context, 'recorder', {numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit'});
    source.connect(this.#node);
    await context.resume();
  }

  get rate() {
    return this.#context.sampleRate;
  }

  get seconds() {
    return this.#samples / this.rate;
  }

  start() {
    this.#node.port.postMessage('start');
  }

  recordedAt(seconds) {
    return this.#startTime + 1000 * Math.min(seconds, this.seconds);
  }

  // Resolves when the last chunks have arrived; `close` has to follow, which takes longer.
  async end() {
    const ended = new Promise((resolve) => {
      this.#node.port.addEventListener('message', ({data}) => data.ended && resolve());
    });
    this.#node.port.postMessage('end');
    const timeout = new Promise((resolve) => setTimeout(resolve, 300)); // In case the context is suspended.
    await Promise.race([ended, timeout]);
  }

  // Stops recording.
  async close() {
    if (this.#node !== null) this.#node.port.onmessage = null;
    this.#node?.disconnect();
    this.#stream?.getTracks().forEach((track) => track.stop());
    if (this.#context !== null && this.#context.state !== 'closed') await this.#context.close();
  }
}

export function microphoneErrorText(error) {
  if (error.name === 'NotAllowedError') return 'This page is not allowed to use the microphone: allow it in the address bar, or choose an audio file.';
  if (error.name === 'NotFoundError') return 'No microphone was found: connect one, or choose an audio file.';
  return `The microphone cannot be used (${error.message}): choose an audio file.`;
}
