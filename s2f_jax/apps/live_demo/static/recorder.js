// In the audio thread: what the microphone gives, in pieces of about 10 ms.

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.on = false;
    this.room = 128 * Math.max(1, Math.round(sampleRate / 100 / 128));
    this.piece = new Int16Array(this.room);
    this.count = 0;
    this.peak = 0;
    this.port.onmessage = ({data}) => {
      if (data === 'end') {
        this.give();
        this.port.postMessage({ended: true});
      }
      this.on = data === 'start';
    };
  }

  give() {
    if (this.count === 0) return;
    const samples = this.piece.slice(0, this.count);
    this.port.postMessage({samples, peak: this.peak}, [samples.buffer]);
    this.count = 0;
    this.peak = 0;
  }

  process([[channel]]) {
    if (!this.on || channel === undefined) return true;
    for (const value of channel) {
      const limited = Math.max(-1, Math.min(1, value));
      this.piece[this.count++] = Math.round(32767 * limited);
      this.peak = Math.max(this.peak, Math.abs(limited));
      if (this.count === this.room) this.give();
    }
    return true;
  }
}

registerProcessor('recorder', Recorder);
