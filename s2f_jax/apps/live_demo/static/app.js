// The live demo: a face, a voice, and the video made of them.

import {isAudio, onDroppedFile} from './files.js';
import {Connection} from './link.js';
import {Microphone, microphoneErrorText} from './microphone.js';
import {preparePicture, takePhoto} from './picture.js';
import {clearVideo, showVideo} from './result.js';
import {showCrop, showFace} from './seen.js';
import {FilePlayback, LivePlayback, Stage} from './stage.js';
import {Stats} from './stats.js';

const ALIVE_INTERVAL = 30000; // Milliseconds between messages that the visitor is active.
const UPDATE_INTERVAL = 100; // Milliseconds; more frequent updates would delay frames.
const $ = (id) => document.getElementById(id);
const connection = new Connection();
const stage = new Stage($('canvas'));

let welcome = null; // The server's last welcome message.
let connected = false; // Whether it came on this connection.
let preparing = false; // A picture is being prepared.
let face = null; // {blob, name} or 'example'; sent again after a reconnection.
let acceptedFace = null; // The last one that the server accepted.
let hasFace = false; // Whether the server has it on this connection.
// idle, sending (a face), file, microphone, ending (the last frames and the mp4 arrive), stopping.
let mode = 'idle';
let playback = null; // FilePlayback or LivePlayback.
let stats = null;
let microphone = null;
let video = null; // {size, parts, got, seconds} of an mp4 that arrives.

window.s2f = {get stats() { return stats?.summary ?? null; }};

// The state of the page.

const showText = (id, text) => {
  $(id).textContent = text;
  $(id).hidden = !text;
};
const setState = (text) => { $('state').textContent = text; };
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

function setProgress(seconds, whole) {
  $('progress').value = Math.min(seconds / whole, 1);
  $('time').textContent = `${clock(Math.min(seconds, whole))} / ${clock(whole)}`;
}

const isFree = () => connected && !preparing && mode === 'idle';

function update() {
  const free = isFree();
  for (const id of ['choose-face', 'open-camera', 'example-face']) $(id).disabled = !free;
  for (const id of ['speak', 'choose-sound', 'example-sound']) $(id).disabled = !free || !hasFace;
  $('running').hidden = !['file', 'microphone', 'ending'].includes(mode);
  $('finish').hidden = mode !== 'microphone';
  $('stop').textContent = mode === 'file' ? 'Stop' : 'Discard';
  $('on-air').hidden = mode !== 'microphone' && mode !== 'file';
  $('on-air-text').textContent = mode === 'microphone' ? 'Live' : 'Playing';
  $('level').hidden = mode !== 'microphone';
  $('empty').hidden = !$('seen').hidden;
}

function clearResult() {
  video = null;
  clearVideo();
}

// The connection.

connection.addEventListener('welcome', ({detail}) => {
  welcome = detail;
  connected = true;
  $('connection').textContent = 'Connected';
  $('connection').dataset.state = 'open';
  $('model').textContent = `${detail.model}, ${detail.width}×${detail.height}, ${detail.fps} frames/s`;
  $('model').hidden = false;
  $('banner').hidden = true;
  $('frame').style.aspectRatio = `${detail.width} / ${detail.height}`;
  $('example-face').hidden = $('example-sound').hidden = !detail.example;
  showText('kept', detail.kept
    ? 'The operator of this page keeps each video and its picture.'
    : 'Pictures and audio are deleted from the server when you close this page.');
  findMicrophone();
  if (face !== null && !preparing) sendFace();
  update();
});

function onDisconnected(text, canReconnect) {
  hasFace = connected = false;
  endPlayback();
  mode = 'idle';
  setState('');
  $('connection').textContent = 'Not connected';
  $('connection').dataset.state = 'closed';
  showText('banner-text', text);
  $('banner').hidden = false;
  $('again').hidden = !canReconnect;
  update();
}

connection.addEventListener('full', ({detail}) => onDisconnected(detail.text, false));
connection.addEventListener('bye', ({detail}) => onDisconnected(detail.text, true));
connection.addEventListener('closed', ({detail}) => {
  if (!detail.why) onDisconnected('The connection to the server was lost; reconnecting.', false);
});
$('again').addEventListener('click', () => {
  $('banner').hidden = true;
  connection.open();
});

let lastAlive = 0;
for (const gesture of ['pointerdown', 'keydown']) {
  document.addEventListener(gesture, () => {
    if (performance.now() - lastAlive < ALIVE_INTERVAL) return;
    lastAlive = performance.now();
    connection.send('alive');
  });
}

async function findMicrophone() {
  const supported = navigator.mediaDevices !== undefined && !welcome.files_only;
  const devices = supported ? await navigator.mediaDevices.enumerateDevices() : [];
  const hasMicrophone = devices.some(({kind}) => kind === 'audioinput');
  const hasCamera = devices.some(({kind}) => kind === 'videoinput');
  $('speak').hidden = !hasMicrophone;
  $('open-camera').hidden = !hasCamera;
  let reason = '';
  if (!hasMicrophone && !welcome.files_only) {
    reason = supported
      ? 'No microphone was found, so only audio files can be used.'
      : 'Browsers allow the microphone only on https pages and on the server’s own machine, so only audio files can be used here.';
  }
  showText('no-microphone', reason);
  $('choose-sound').classList.toggle('primary', !hasMicrophone);
}

// The face.

async function chooseFace(file) {
  if (!file || !isFree()) return;
  preparing = true;
  update();
  try {
    face = await preparePicture(file, welcome.limits);
  } finally {
    preparing = false;
    update();
  }
  if (connected) sendFace(); // Or after the reconnection.
}

function sendFace() {
  mode = 'sending';
  setState('Uploading the picture.');
  update();
  showText('face-message', '');
  clearResult();
  if (face === 'example') connection.send('example', {what: 'face'});
  else connection.upload('face', face.blob, {name: face.name});
}

connection.addEventListener('face', ({detail}) => {
  hasFace = true;
  acceptedFace = face;
  mode = 'idle';
  showFace(detail, face === 'example' ? null : face.blob);
  update();
  setState('Ready: speak, or choose an audio file.');
});

connection.addEventListener('crop', async ({detail}) => {
  const blob = new Blob([detail.data], {type: 'image/png'});
  showCrop(blob);
  update();
  await stage.still(blob);
});

$('choose-face').addEventListener('click', () => $('face-file').click());
$('face-file').addEventListener('change', ({target}) => {
  chooseFace(target.files[0]);
  target.value = '';
});
$('open-camera').addEventListener('click', async () => {
  const photo = await takePhoto();
  if (photo) chooseFace(new File([photo], 'photo.jpg', {type: 'image/jpeg'}));
});
$('example-face').addEventListener('click', () => {
  face = 'example';
  sendFace();
});

// The voice.

function begin(newMode) {
  clearResult();
  showText('sound-message', '');
  mode = newMode;
  stats = new Stats(newMode, 1000 / welcome.fps);
  setState('');
  update();
  $('stage').scrollIntoView({block: 'nearest'});
  $(newMode === 'file' ? 'stop' : 'finish').focus({preventScroll: true});
}

function seed() {
  const value = Number($('seed').value);
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32 ? value : 0;
}

function chooseAudio(file) {
  if (!file || !hasFace || !isFree() || !playFile()) return;
  connection.upload('sound', file, {name: file.name || 'sound', seed: seed()});
}

function playFile() {
  begin('file');
  setState('Loading the audio file.');
  try {
    playback = new FilePlayback(stage, stats, welcome, onPlaybackError);
  } catch (error) {
    mode = 'idle';
    showPlaybackError(error);
  }
  return playback !== null;
}

function showPlaybackError(error) {
  setState('');
  showText('sound-message', `This browser cannot play the audio (${error.message}): choose another file.`);
  update();
}

function onPlaybackError(error) {
  stop();
  showPlaybackError(error);
}

async function speak() {
  begin('microphone');
  setState('Waiting for the microphone.');
  const opened = microphone = new Microphone();
  const most = welcome.limits.sound_seconds;
  opened.peak = opened.quiet = 0; // In [0, 1]; seconds.
  const onChunk = (samples, peak) => {
    if (mode === 'microphone' || mode === 'ending') connection.sendBytes(samples); // Else it was cancelled.
    opened.peak = Math.max(opened.peak, peak);
    opened.quiet = peak > 0.05 ? 0 : opened.quiet + samples.length / opened.rate;
    if (opened.seconds >= most) finish();
  };
  try {
    await opened.open(welcome.rate, onChunk, finish);
  } catch (error) {
    await opened.close();
    if (microphone === opened) {
      microphone = null;
      mode = 'idle';
      showText('sound-message', microphoneErrorText(error));
      update();
    }
    return;
  }
  if (mode !== 'microphone' || microphone !== opened) {
    await opened.close();
    return;
  }
  playback = new LivePlayback(stage, stats, welcome, (seconds) => opened.recordedAt(seconds));
  connection.send('speak', {rate: opened.rate, seed: seed()});
  opened.start();
  setState(`Speak now, for up to ${most} s.`);
}

function updateLevel() {
  const level = 1 + Math.log10(Math.max(microphone.peak, 1e-3)) / 3; // Of 60 dB.
  $('loudness').value = Math.max(level, $('loudness').value - 0.1);
  $('level-text').textContent = microphone.quiet > 3 ? 'Very quiet: speak up, or choose another microphone.' : '';
  microphone.peak = 0;
  setProgress(microphone.seconds, welcome.limits.sound_seconds);
}

async function finish() {
  if (mode !== 'microphone' || playback === null) return;
  mode = 'ending';
  update();
  const opened = microphone;
  microphone = null;
  await opened.end();
  if (mode === 'ending' || mode === 'idle') connection.send('end');
  await opened.close();
}

function stop() {
  if (!['file', 'microphone', 'ending'].includes(mode)) return;
  mode = 'stopping';
  endPlayback();
  connection.send('stop');
  update();
}

function endPlayback() {
  microphone?.close();
  microphone = null;
  if (playback instanceof FilePlayback) playback.stop();
  playback = null;
  video = null;
}

connection.addEventListener('stopped', () => {
  mode = 'idle';
  setState('Ready: speak, or choose an audio file.');
  update();
});

connection.addEventListener('sound', ({detail}) => {
  if (playback instanceof FilePlayback) playback.setAudio(detail);
  showText('sound-message', detail.doubts.join(' '));
});
connection.addEventListener('pcm', ({detail}) => { if (playback instanceof FilePlayback) playback.addAudio(detail.data); });
connection.addEventListener('frame', ({detail}) => playback?.add(detail.number, detail.data));
connection.addEventListener('status', ({detail}) => {
  if (playback === null) return;
  stats.server = detail;
  if (mode === 'microphone' && detail.behind_s > 0.5) {
    setState(`The video is ${detail.behind_s.toFixed(1)} s behind your voice: the server is too slow for this model, or has other visitors.`);
  }
});

connection.addEventListener('error', ({detail}) => {
  if (detail.about === 'keep') {
    showText('sound-message', detail.text);
  } else if (detail.about === 'face') {
    face = acceptedFace;
    mode = 'idle';
    setState('');
    showText('face-message', detail.text);
  } else {
    endPlayback();
    mode = 'idle';
    setState('');
    showText('sound-message', detail.text);
    connection.send('stop'); // Messages of this video that still arrive must not reach the next one.
    mode = 'stopping';
  }
  update();
});

// The finished video.

connection.addEventListener('done', ({detail}) => {
  if (playback === null) return;
  stats.server = detail;
  if (mode === 'microphone') finish(); // The longest video is reached.
  video = {size: detail.bytes, parts: [], got: 0, seconds: detail.sound_s};
});

connection.addEventListener('video', async ({detail}) => {
  if (video === null) return;
  video.parts.push(detail.data);
  video.got += detail.data.byteLength;
  if (video.got < video.size) return;
  const {parts, size, seconds} = video, current = playback;
  await (current instanceof FilePlayback ? current.ended : current.end());
  if (playback !== current) return; // It was stopped meanwhile.
  playback = null;
  mode = 'idle';
  stats.done = true;
  stats.draw();
  showVideo(parts, size);
  setProgress(seconds, seconds);
  setState('Done. The video includes the audio and is marked as synthetic.');
  update();
});

$('speak').addEventListener('click', speak);
$('finish').addEventListener('click', finish);
$('stop').addEventListener('click', stop);
$('choose-sound').addEventListener('click', () => $('sound-file').click());
$('sound-file').addEventListener('change', ({target}) => {
  chooseAudio(target.files[0]);
  target.value = '';
});
$('example-sound').addEventListener('click', () => {
  if (playFile()) connection.send('example', {what: 'sound', seed: seed()});
});

onDroppedFile((file) => {
  if (!isAudio(file)) chooseFace(file);
  else if (!hasFace) showText('sound-message', 'Choose a face first, then the audio.');
  else chooseAudio(file);
});
document.addEventListener('keydown', ({key}) => {
  if (key === 'Escape' && !$('camera-dialog').open) stop();
});

setInterval(() => {
  stats?.draw();
  if (mode === 'microphone' && playback !== null) updateLevel();
  if (mode === 'file' && playback?.playing) {
    setProgress(playback.position, playback.seconds);
    setState(playback.waitsForGesture ? 'Press a key or tap the page to hear it.' : 'Playing.');
  }
}, UPDATE_INTERVAL);
update();
connection.open();
