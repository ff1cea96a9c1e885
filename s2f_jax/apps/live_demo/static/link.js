// The socket to the server, in the words of messages.py: opened again where it breaks.

const PART = 1 << 16;
const CROP = 1, SOUND = 2, FRAME = 3, VIDEO = 4;
const KINDS = {[CROP]: 'crop', [SOUND]: 'pcm', [FRAME]: 'frame', [VIDEO]: 'video'};
const RETRY = [500, 1000, 2000, 5000]; // Milliseconds.

export class Link extends EventTarget {
  #socket = null;
  #tries = 0;
  #go = null; // Called once the server wants the bytes that were announced.
  #sending = null; // What tells the file that is on its way from others.
  #closing = '';

  open() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    this.#closing = '';
    this.#socket = new WebSocket(`${scheme}://${location.host}/socket`);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onmessage = ({data}) => this.#hear(data);
    this.#socket.onclose = () => this.#closed();
  }

  say(type, fields = {}) {
    if (type === 'stop') this.#sending = null;
    if (this.ready) this.#socket.send(JSON.stringify({type, ...fields}));
  }

  bytes(data) {
    if (this.ready) this.#socket.send(data);
  }

  get ready() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  // Announces a file, and sends it once the server wants it.
  async upload(type, blob, fields) {
    const wanted = new Promise((resolve) => { this.#go = resolve; });
    const mine = this.#sending = {};
    this.say(type, {bytes: blob.size, ...fields});
    if (!(await wanted)) return;
    const on = () => this.ready && this.#sending === mine;
    for (let start = 0; start < blob.size; start += PART) {
      const part = await blob.slice(start, start + PART).arrayBuffer();
      if (!on()) return;
      this.bytes(part);
      while (on() && this.#socket.bufferedAmount > 16 * PART) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  #hear(data) {
    if (typeof data !== 'string') {
      const head = new DataView(data);
      const detail = {number: head.getUint32(4, true), data: data.slice(8)};
      this.#tell(KINDS[head.getUint32(0, true)], detail);
      return;
    }
    const message = JSON.parse(data);
    if (message.type === 'go' || message.type === 'error') {
      this.#go?.(message.type === 'go');
      this.#go = null;
    }
    if (message.type === 'welcome') this.#tries = 0;
    if (message.type === 'full' || message.type === 'bye') this.#closing = message.type;
    this.#tell(message.type, message);
  }

  #closed() {
    this.#sending = null;
    this.#go?.(false);
    this.#go = null;
    this.#tell('closed', {why: this.#closing});
    if (this.#closing === 'bye') return; // Until the person wants it.
    const wait = this.#closing === 'full' ? 5000 : RETRY[Math.min(this.#tries, RETRY.length - 1)];
    this.#tries += 1;
    setTimeout(() => this.open(), wait);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, {detail}));
  }
}
