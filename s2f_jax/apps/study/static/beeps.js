// Beeps as an audio file: played like the videos, so that a muted player fails the check.

const RATE = 16000; // Hz.
const PITCH = 660; // Hz.
const BEEP = 0.25; // Seconds, as long as the silence after it.
const FADE = 0.02; // Seconds.

export function beeps(count) {
  const period = 2 * BEEP * RATE;
  const samples = new Int16Array(count * period);
  for (let i = 0; i < samples.length; i++) {
    const time = (i % period) / RATE;
    const gain = Math.max(0, Math.min(1, time / FADE, (BEEP - time) / FADE));
    samples[i] = 8000 * gain * Math.sin(2 * Math.PI * PITCH * time);
  }
  const header = new DataView(new ArrayBuffer(44));
  const text = (offset, word) => [...word].forEach((c, i) => header.setUint8(offset + i, c.charCodeAt(0)));
  text(0, 'RIFF');
  header.setUint32(4, 36 + samples.byteLength, true);
  text(8, 'WAVEfmt ');
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, RATE, true);
  header.setUint32(28, 2 * RATE, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, 'data');
  header.setUint32(40, samples.byteLength, true);
  return new Blob([header, samples], {type: 'audio/wav'});
}
