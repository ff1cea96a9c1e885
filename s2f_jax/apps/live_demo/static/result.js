// The video: to be seen again, and to be downloaded.

const $ = (id) => document.getElementById(id);
let address = '';

export function forgetVideo() {
  if (address) URL.revokeObjectURL(address);
  address = '';
  $('result').hidden = true;
  $('video').hidden = true;
  $('video').removeAttribute('src');
  $('canvas').hidden = false;
}

// parts: of the mp4, size bytes together.
export function giveVideo(parts, size) {
  address = URL.createObjectURL(new Blob(parts, {type: 'video/mp4'}));
  $('download').href = address;
  $('download').download = `talk-${new Date().toISOString().slice(0, 19).replace(/[T:]/g, '-')}.mp4`;
  $('download-text').textContent = `Download (${(size / 1e6).toFixed(size < 1e6 ? 2 : 1)} MB)`;
  $('result').hidden = false;
  $('download').focus({preventScroll: true});
}

$('replay').addEventListener('click', () => {
  $('canvas').hidden = true;
  $('video').hidden = false;
  if (!$('video').src) $('video').src = address;
  $('video').currentTime = 0;
  $('video').play();
});
$('video').addEventListener('error', () => {
  if ($('video').src) $('state').textContent = 'This browser cannot play the video; it can be downloaded.';
});
