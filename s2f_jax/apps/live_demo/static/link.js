// The WebSocket to the server, with the messages of messages.py; reconnects when it breaks.

const PART_BYTES = 1 << 16;
const CROP = 1, SOUND = 2, FRAME = 3, VIDEO = 4;
const KINDS = {[CROP]: 'crop', [SOUND]: 'pcm', [FRAME]: 'frame', [VIDEO]: 'video'};
const RETRY = [500, 1000, 2000, 5000]; // Milliseconds.

export class Connection extends EventTarget {
  #socket = null;
  #tries = 0;
  #onGo = null; // Called once the server is ready for the announced bytes.
  #upload = null; // Identifies the current upload.
  #closeReason = '';

  open() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    this.#closeReason = '';
    this.#socket = new WebSocket(`${scheme}://${location.host}/socket`);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onmessage = ({data}) => this.#receive(data);
    this.#socket.onclose = () => this.#onClosed();
  }

  send(type, fields = {}) {
    if (type === 'stop') this.#upload = null;
    if (this.ready) this.#socket.send(JSON.stringify({type, ...fields}));
  }

  sendBytes(data) {
    if (this.ready) this.#socket.send(data);
  }

  get ready() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  // Announces a file, and sends it once the server is ready.
  async upload(type, blob, fields) {
    const ready = new Promise((resolve) => { this.#onGo = resolve; });
    const upload = this.#upload = {};
    this.send(type, {bytes: blob.size, ...fields});
    if (!(await ready)) return;
    const isCurrent = () => this.ready && this.#upload === upload;
    for (let start = 0; start < blob.size; start += PART_BYTES) {
      const part = await blob.slice(start, start + PART_BYTES).arrayBuffer();
      if (!isCurrent()) return;
      this.sendBytes(part);
      while (isCurrent() && this.#socket.bufferedAmount > 16 * PART_BYTES) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  #receive(data) {
    if (typeof data !== 'string') {
      const header = new DataView(data);
      const detail = {number: header.getUint32(4, true), data: data.slice(8)};
      this.#emit(KINDS[header.getUint32(0, true)], detail);
      return;
    }
    const message = JSON.parse(data);
    if (message.type === 'go' || message.type === 'error') {
      this.#onGo?.(message.type === 'go');
      this.#onGo = null;
    }
    if (message.type === 'welcome') this.#tries = 0;
    if (message.type === 'full' || message.type === 'bye') this.#closeReason = message.type;
    this.#emit(message.type, message);
  }

  #onClosed() {
    this.#upload = null;
    this.#onGo?.(false);
    this.#onGo = null;
    this.#emit('closed', {why: this.#closeReason});
    if (this.#closeReason === 'bye') return; // Until the visitor reconnects.
    const wait = this.#closeReason === 'full' ? 5000 : RETRY[Math.min(this.#tries, RETRY.length - 1)];
    this.#tries += 1;
    setTimeout(() => this.open(), wait);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, {detail}));
  }
}
