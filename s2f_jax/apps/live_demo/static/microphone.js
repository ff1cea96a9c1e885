// The microphone as pieces of int16, and when each moment of it was spoken.

export class Microphone {
  #context = null;
  #stream = null;
  #node = null;
  #began = Infinity; // By performance.now(): the earliest that the pieces allow.
  #heard = 0; // Samples.

  // At the model's rate where the browser can, so that nothing is held back to resample it.
  // onPiece(int16, peak of 1); onLost(): it was unplugged.
  // Raises DOMException where there is none, or the person does not allow it.
  async open(rate, onPiece, onLost) {
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
      this.#heard += data.samples.length;
      this.#began = Math.min(this.#began, performance.now() - 1000 * this.#heard / this.rate);
      onPiece(data.samples, data.peak);
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
    return this.#heard / this.rate;
  }

  start() {
    this.#node.port.postMessage('start');
  }

  spokenAt(seconds) {
    return this.#began + 1000 * Math.min(seconds, this.seconds);
  }

  // The last pieces have come when this is done; `close` has to follow, which takes longer.
  async end() {
    const ended = new Promise((resolve) => {
      this.#node.port.addEventListener('message', ({data}) => data.ended && resolve());
    });
    this.#node.port.postMessage('end');
    const late = new Promise((resolve) => setTimeout(resolve, 300)); // Of a context that sleeps.
    await Promise.race([ended, late]);
  }

  // Nothing more is heard.
  async close() {
    if (this.#node !== null) this.#node.port.onmessage = null;
    this.#node?.disconnect();
    this.#stream?.getTracks().forEach((track) => track.stop());
    if (this.#context !== null && this.#context.state !== 'closed') await this.#context.close();
  }
}

export function microphoneMistake(error) {
  if (error.name === 'NotAllowedError') return 'The microphone is not allowed for this page: allow it in the browser, beside the address, or choose a sound file.';
  if (error.name === 'NotFoundError') return 'No microphone was found: connect one, or choose a sound file.';
  return `The microphone cannot be used (${error.message}): choose a sound file.`;
}
