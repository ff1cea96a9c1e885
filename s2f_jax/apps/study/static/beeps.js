// Beeps as a file: played the way the videos are, or a muted player would pass the check.

const RATE = 16000; // Hz.
const PITCH = 660; // Hz.
const BEEP = 0.25; // Seconds, as long as the silence after it.
const FADE = 0.02; // Seconds.

export function beeps(count) {
  const each = 2 * BEEP * RATE;
  const samples = new Int16Array(count * each);
  for (let i = 0; i < samples.length; i++) {
    const at = (i % each) / RATE;
    const loud = Math.max(0, Math.min(1, at / FADE, (BEEP - at) / FADE));
    samples[i] = 8000 * loud * Math.sin(2 * Math.PI * PITCH * at);
  }
  const head = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((c, i) => head.setUint8(at + i, c.charCodeAt(0)));
  text(0, 'RIFF');
  head.setUint32(4, 36 + samples.byteLength, true);
  text(8, 'WAVEfmt ');
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, RATE, true);
  head.setUint32(28, 2 * RATE, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, 'data');
  head.setUint32(40, samples.byteLength, true);
  return new Blob([head, samples], {type: 'audio/wav'});
}
