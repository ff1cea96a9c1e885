// Delay of the video against the audio, and late frames; for tests in window.s2f.stats.

const CHART_FRAMES = 250;
const CHART_MAX = 150; // Milliseconds at the chart's upper edge.
const $ = (id) => document.getElementById(id);

const quantile = (sorted, share) =>
  sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : null;

function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return {p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), max: sorted.at(-1) ?? null};
}

const ms = (value) => (value === null ? '–' : `${value.toFixed(0)} ms`);

export class Stats {
  // mode: 'file' or 'microphone'; frame: milliseconds between frames.
  constructor(mode, frame) {
    Object.assign(this, {mode, frame});
    this.offsets = []; // Milliseconds from the audio of each frame to its display.
    this.latencies = []; // Milliseconds from the last audio that a frame needs to its display.
    this.numbers = []; // Of the displayed frames, in order.
    this.received = 0;
    this.skipped = 0;
    this.stalls = 0;
    this.server = null; // Its last report.
    this.done = false;
    $('offset-name').textContent = mode === 'file' ? 'Video delay to audio' : 'Video delay to voice';
    this.draw();
  }

  shown(number, offset, latency) {
    const before = this.numbers.at(-1) ?? -1;
    this.skipped += Math.max(0, number - before - 1);
    this.numbers.push(number);
    this.offsets.push(offset);
    this.latencies.push(latency);
  }

  // Frames late by more than a frame interval plus the delay of a resampler.
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
    $('offset-more').textContent = offset.max === null ? '' : `max. ${ms(offset.max)}`;
    $('latency').textContent = ms(latency.p50);
    $('latency-more').textContent = latency.p95 === null ? '' : `95 % below ${ms(latency.p95)}`;
    $('late').textContent = `${this.late}`;
    const missed = this.skipped ? `, ${this.skipped} not shown` : '';
    $('late-more').textContent = `of ${this.received}${missed}`;
    $('factor').textContent = this.server?.real_time_factor?.toFixed(2) ?? '–';
    const last = this.offsets.slice(-CHART_FRAMES);
    const y = (value) => 60 * (1 - Math.min(Math.max(value, 0), CHART_MAX) / CHART_MAX);
    const points = last.map((value, i) => `${(300 * (CHART_FRAMES - last.length + i)) / CHART_FRAMES},${y(value)}`);
    $('line').setAttribute('points', points.join(' '));
  }
}
