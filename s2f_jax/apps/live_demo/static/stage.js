// Shows frames on the canvas, in order and in synchrony with the audio.

// A file's audio starts when MIN_BUFFERED frames have arrived, and the rest needs at most this share of the
// time in which it is played.
const MIN_BUFFERED = 5;
const MAX_LOAD = 0.9;
const MAX_LATE = 0.1; // Seconds that a frame may be late until the audio is paused.
const RESUME_FRAMES = 12; // Frames that have to arrive before it continues.

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

// Shows frames of a microphone recording as soon as they arrive.
export class LivePlayback {
  // recordedAt(seconds): when that moment of the audio was recorded, by performance.now().
  constructor(stage, stats, welcome, recordedAt) {
    Object.assign(this, {stage, stats, welcome, recordedAt});
    this.queue = Promise.resolve();
  }

  add(number, data) {
    this.stats.received += 1;
    const decoded = createImageBitmap(new Blob([data], {type: 'image/jpeg'}));
    this.queue = this.queue.then(async () => {
      this.stage.draw(await decoded);
      const {fps, look_ahead_s: ahead} = this.welcome;
      const now = performance.now();
      const needed = this.recordedAt((number + 1) / fps + ahead);
      this.stats.shown(number, now - this.recordedAt((number + 0.5) / fps), now - needed);
    });
  }

  async end() {
    await this.queue;
  }
}

// Plays the audio of a file and shows each frame at its time; buffers a little before it starts.
export class FilePlayback {
  #context = new AudioContext();
  #pcm = [];
  #frames = new Map();
  #arrived = [];
  #source = null;
  #start = 0; // Of the audio, in the context's time.
  #next = 0; // First frame that was not shown.
  #stalled = false;
  #stopped = false;
  #finished = null;
  #closed = new AbortController();

  // onError(error): it cannot be played.
  constructor(stage, stats, welcome, onError) {
    Object.assign(this, {stage, stats, welcome, onError});
    this.position = 0; // Seconds.
    this.ended = new Promise((resolve) => { this.#finished = resolve; });
    this.#resume();
  }

  // Browsers may require a user gesture before they play audio.
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

  setAudio({rate, samples}) {
    this.rate = rate;
    this.samples = samples;
    this.total = Math.ceil(samples / rate * this.welcome.fps - 1e-6);
  }

  addAudio(data) {
    this.#pcm.push(new Int16Array(data));
  }

  add(number, data) {
    this.stats.received += 1;
    this.#arrived.push(performance.now());
    createImageBitmap(new Blob([data], {type: 'image/jpeg'})).then((picture) => {
      this.#frames.set(number, picture);
      if (this.#source === null && this.#canStart()) this.#play();
      if (this.#stalled && (this.#frames.size >= RESUME_FRAMES || this.#arrived.length === this.total)) {
        this.#stalled = false;
        this.#context.resume();
      }
    }).catch((error) => this.#stopped || this.onError(error));
  }

  stop() {
    this.#stopped = true;
    this.#close();
  }

  #canStart() {
    const count = this.#arrived.length;
    if (count >= this.total) return true;
    if (count < MIN_BUFFERED) return false;
    const rate = (count - 1) / Math.max(this.#arrived.at(-1) - this.#arrived[0], 1); // By ms.
    return (this.total - count) / rate < MAX_LOAD * 1000 * this.total / this.welcome.fps;
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

  // Seconds of the audio that have been output.
  #outputPosition() {
    const {contextTime, performanceTime} = this.#context.getOutputTimestamp();
    const {currentTime, state} = this.#context;
    const isKnown = contextTime > 0 && state === 'running';
    const output = isKnown ? contextTime + (performance.now() - performanceTime) / 1000 : currentTime;
    return Math.min(output, currentTime) - this.#start;
  }

  #show() {
    if (this.#stopped) return;
    const position = this.#outputPosition(), {fps} = this.welcome;
    const due = Math.min(Math.floor(position * fps), this.total - 1);
    let number = due; // The latest frame that is due and has arrived.
    while (number >= this.#next && !this.#frames.has(number)) number -= 1;
    if (number >= this.#next) {
      this.stage.draw(this.#frames.get(number));
      const offset = 1000 * (position - number / fps);
      this.stats.shown(number, offset, offset);
      for (let old = this.#next; old <= number; old += 1) {
        if (old < number) this.#frames.get(old)?.close();
        this.#frames.delete(old);
      }
      this.#next = number + 1;
    } else if (!this.#stalled && position - this.#next / fps > MAX_LATE && this.#next < this.total) {
      this.#stalled = true;
      this.stats.stalls += 1;
      this.#context.suspend();
    }
    this.position = Math.max(position, 0);
    if (position > this.seconds + 0.05 && this.#next >= this.total) this.#close();
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
