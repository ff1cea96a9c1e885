// The canvas: frames in the order of their numbers, when the sound is there.

const AHEAD = 5; // Frames that a file's sound waits for at least,
const SAFE = 0.9; // and until the rest needs no more than this share of the time it is played in.
const STALL = 0.1; // Seconds that a frame may be late until the sound waits for it.
const RESUME = 12; // Frames that it waits for then.

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
  }

  async still(blob) {
    const picture = await createImageBitmap(blob);
    Object.assign(this.canvas, {width: picture.width, height: picture.height});
    this.context.drawImage(picture, 0, 0);
  }

  draw(picture) {
    this.context.drawImage(picture, 0, 0);
    picture.close();
  }
}

// Frames as soon as they come, of a voice that is being recorded.
export class AsTheyCome {
  // spokenAt(seconds): when that moment of the sound was spoken, by performance.now().
  constructor(stage, stats, welcome, spokenAt) {
    Object.assign(this, {stage, stats, welcome, spokenAt});
    this.before = Promise.resolve();
  }

  add(number, data) {
    this.stats.received += 1;
    const decoded = createImageBitmap(new Blob([data], {type: 'image/jpeg'}));
    this.before = this.before.then(async () => {
      this.stage.draw(await decoded);
      const {fps, look_ahead_s: ahead} = this.welcome;
      const now = performance.now();
      const needed = this.spokenAt((number + 1) / fps + ahead);
      this.stats.shown(number, now - this.spokenAt((number + 0.5) / fps), now - needed);
    });
  }

  async end() {
    await this.before;
  }
}

// Frames of a file, drawn when its sound reaches them; the sound begins a little later than it could.
export class InStep {
  #context = new AudioContext();
  #pcm = [];
  #frames = new Map();
  #arrived = [];
  #source = null;
  #start = 0; // Of the sound, in the context's time.
  #next = 0; // The least frame that was not shown.
  #stalled = false;
  #stopped = false;
  #finished = null;
  #closed = new AbortController();

  // onBroken(error): it cannot be played.
  constructor(stage, stats, welcome, onBroken) {
    Object.assign(this, {stage, stats, welcome, onBroken});
    this.heard = 0; // Seconds.
    this.ended = new Promise((resolve) => { this.#finished = resolve; });
    this.#resume();
  }

  // A browser may want a gesture before it plays anything.
  #resume() {
    const resume = () => this.#context.state === 'suspended' && !this.#stalled && this.#context.resume();
    resume();
    for (const gesture of ['pointerdown', 'keydown']) {
      document.addEventListener(gesture, resume, {signal: this.#closed.signal});
    }
  }

  get playing() {
    return this.#source !== null;
  }

  get seconds() {
    return this.samples / this.rate;
  }

  get waitsForGesture() {
    return this.playing && this.#context.state === 'suspended' && !this.#stalled;
  }

  sound({rate, samples}) {
    this.rate = rate;
    this.samples = samples;
    this.total = Math.ceil(samples / rate * this.welcome.fps - 1e-6);
  }

  addSound(data) {
    this.#pcm.push(new Int16Array(data));
  }

  add(number, data) {
    this.stats.received += 1;
    this.#arrived.push(performance.now());
    createImageBitmap(new Blob([data], {type: 'image/jpeg'})).then((picture) => {
      this.#frames.set(number, picture);
      if (this.#source === null && this.#enough()) this.#play();
      if (this.#stalled && (this.#frames.size >= RESUME || this.#arrived.length === this.total)) {
        this.#stalled = false;
        this.#context.resume();
      }
    }).catch((error) => this.#stopped || this.onBroken(error));
  }

  stop() {
    this.#stopped = true;
    this.#close();
  }

  #enough() {
    const count = this.#arrived.length;
    if (count >= this.total) return true;
    if (count < AHEAD) return false;
    const rate = (count - 1) / Math.max(this.#arrived.at(-1) - this.#arrived[0], 1); // By ms.
    return (this.total - count) / rate < SAFE * 1000 * this.total / this.welcome.fps;
  }

  #play() {
    const buffer = this.#context.createBuffer(1, this.samples, this.rate);
    const channel = buffer.getChannelData(0);
    let at = 0;
    for (const part of this.#pcm) for (const sample of part) channel[at++] = sample / 32768;
    this.#pcm = [];
    this.#source = this.#context.createBufferSource();
    this.#source.buffer = buffer;
    this.#source.connect(this.#context.destination);
    this.#start = this.#context.currentTime + 0.05;
    this.#source.start(this.#start);
    requestAnimationFrame(() => this.#show());
  }

  // Seconds of the sound that have left the loudspeaker.
  #heard() {
    const {contextTime, performanceTime} = this.#context.getOutputTimestamp();
    const {currentTime, state} = this.#context;
    const known = contextTime > 0 && state === 'running';
    const out = known ? contextTime + (performance.now() - performanceTime) / 1000 : currentTime;
    return Math.min(out, currentTime) - this.#start;
  }

  #show() {
    if (this.#stopped) return;
    const heard = this.#heard(), {fps} = this.welcome;
    const due = Math.min(Math.floor(heard * fps), this.total - 1);
    let number = due; // The latest that is due and there.
    while (number >= this.#next && !this.#frames.has(number)) number -= 1;
    if (number >= this.#next) {
      this.stage.draw(this.#frames.get(number));
      const offset = 1000 * (heard - number / fps);
      this.stats.shown(number, offset, offset);
      for (let old = this.#next; old <= number; old += 1) {
        if (old < number) this.#frames.get(old)?.close();
        this.#frames.delete(old);
      }
      this.#next = number + 1;
    } else if (!this.#stalled && heard - this.#next / fps > STALL && this.#next < this.total) {
      this.#stalled = true;
      this.stats.stalls += 1;
      this.#context.suspend();
    }
    this.heard = Math.max(heard, 0);
    if (heard > this.seconds + 0.05 && this.#next >= this.total) this.#close();
    else requestAnimationFrame(() => this.#show());
  }

  #close() {
    for (const picture of this.#frames.values()) picture.close();
    this.#frames.clear();
    this.#closed.abort();
    if (this.#context.state !== 'closed') this.#context.close();
    this.#finished();
  }
}
