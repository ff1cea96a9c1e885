// How far the picture is from the sound, and how late frames are; for tests in window.s2f.stats.

const SHOWN = 250; // Frames in the chart.
const HIGH = 150; // Milliseconds at the chart's upper edge.
const $ = (id) => document.getElementById(id);

const quantile = (sorted, share) =>
  sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : null;

function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return {p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), max: sorted.at(-1) ?? null};
}

const ms = (value) => (value === null ? '–' : `${value.toFixed(0)} ms`);

export class Stats {
  // mode: 'file' or 'microphone'; frame: milliseconds that one lasts.
  constructor(mode, frame) {
    Object.assign(this, {mode, frame});
    this.offsets = []; // Milliseconds that each frame was shown after its sound.
    this.latencies = []; // Milliseconds from the last sound that a frame needs to its being shown.
    this.numbers = []; // Of the frames that were shown, in that order.
    this.received = 0;
    this.skipped = 0;
    this.stalls = 0;
    this.server = null; // What it reports last.
    this.done = false;
    $('offset-name').textContent = mode === 'file' ? 'Picture after sound' : 'Picture after voice';
    this.draw();
  }

  shown(number, offset, latency) {
    const before = this.numbers.at(-1) ?? -1;
    this.skipped += Math.max(0, number - before - 1);
    this.numbers.push(number);
    this.offsets.push(offset);
    this.latencies.push(latency);
  }

  // By more than a frame, beside what a resampler holds back.
  get late() {
    const allowed = this.frame + (this.server?.resampling_ms ?? 0);
    return this.latencies.filter((latency) => latency > allowed).length;
  }

  get inOrder() {
    return this.numbers.every((number, i) => i === 0 || number > this.numbers[i - 1]);
  }

  get summary() {
    const {mode, received, late, skipped, stalls, server, done, inOrder} = this;
    return {
      mode, received, late, skipped, stalls, server, done, inOrder,
      shown: this.numbers.length, offsets: this.offsets, offset_ms: spread(this.offsets), latency_ms: spread(this.latencies),
    };
  }

  draw() {
    const {offset_ms: offset, latency_ms: latency} = this.summary;
    $('offset').textContent = ms(this.offsets.at(-1) ?? null);
    $('offset-more').textContent = offset.max === null ? '' : `at most ${ms(offset.max)}`;
    $('latency').textContent = ms(latency.p50);
    $('latency-more').textContent = latency.p95 === null ? '' : `95 % under ${ms(latency.p95)}`;
    $('late').textContent = `${this.late}`;
    const missed = this.skipped ? `, ${this.skipped} not shown` : '';
    $('late-more').textContent = `of ${this.received}${missed}`;
    $('factor').textContent = this.server?.real_time_factor?.toFixed(2) ?? '–';
    const last = this.offsets.slice(-SHOWN);
    const y = (value) => 60 * (1 - Math.min(Math.max(value, 0), HIGH) / HIGH);
    const points = last.map((value, i) => `${(300 * (SHOWN - last.length + i)) / SHOWN},${y(value)}`);
    $('line').setAttribute('points', points.join(' '));
  }
}
