// The finished video: playback and download.

const $ = (id) => document.getElementById(id);
let url = '';

export function clearVideo() {
  if (url) URL.revokeObjectURL(url);
  url = '';
  $('result').hidden = true;
  $('video').hidden = true;
  $('video').removeAttribute('src');
  $('canvas').hidden = false;
}

// parts: of the mp4; size: its bytes.
export function showVideo(parts, size) {
  url = URL.createObjectURL(new Blob(parts, {type: 'video/mp4'}));
  $('download').href = url;
  $('download').download = `talk-${new Date().toISOString().slice(0, 19).replace(/[T:]/g, '-')}.mp4`;
  $('download-text').textContent = `Download (${(size / 1e6).toFixed(size < 1e6 ? 2 : 1)} MB)`;
  $('result').hidden = false;
  $('download').focus({preventScroll: true});
}

$('replay').addEventListener('click', () => {
  $('canvas').hidden = true;
  $('video').hidden = false;
  if (!$('video').src) $('video').src = url;
  $('video').currentTime = 0;
  $('video').play();
});
$('video').addEventListener('error', () => {
  if ($('video').src) $('state').textContent = 'This browser cannot play the video; download it instead.';
});
