// Runs in the audio thread: records the microphone in chunks of about 10 ms.

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.recording = false;
    this.size = 128 * Math.max(1, Math.round(sampleRate / 100 / 128));
    this.chunk = new Int16Array(this.size);
    this.count = 0;
    this.peak = 0;
    this.port.onmessage = ({data}) => {
      if (data === 'end') {
        this.post();
        this.port.postMessage({ended: true});
      }
      this.recording = data === 'start';
    };
  }

  post() {
    if (this.count === 0) return;
    const samples = this.chunk.slice(0, this.count);
    this.port.postMessage({samples, peak: this.peak}, [samples.buffer]);
    this.count = 0;
    this.peak = 0;
  }

  process([[channel]]) {
    if (!this.recording || channel === undefined) return true;
    for (const value of channel) {
      const limited = Math.max(-1, Math.min(1, value));
      this.chunk[this.count++] = Math.round(32767 * limited);
      this.peak = Math.max(this.peak, Math.abs(limited));
      if (this.count === this.size) this.post();
    }
    return true;
  }
}

registerProcessor('recorder', Recorder);
