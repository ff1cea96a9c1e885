// The page: a face, a voice, and what comes of them.

import {filesFromElsewhere, isSound} from './files.js';
import {Link} from './link.js';
import {Microphone, microphoneMistake} from './microphone.js';
import {photographed, prepared} from './picture.js';
import {forgetVideo, giveVideo} from './result.js';
import {showCrop, showFace} from './seen.js';
import {AsTheyCome, InStep, Stage} from './stage.js';
import {Stats} from './stats.js';

const ALIVE_EVERY = 30000; // Milliseconds between two words that somebody is there.
const SEEN_EVERY = 100; // Milliseconds between two looks at figures: drawing them delays frames.
const $ = (id) => document.getElementById(id);
const link = new Link();
const stage = new Stage($('canvas'));

let welcome = null; // What the server has said.
let connected = false; // It has said so on this connection.
let preparing = false; // A picture, to be sent.
let face = null; // {blob, name} or 'example'; asked for again where the connection breaks.
let taken = null; // The last that the server took.
let shown = false; // Whether it has that one now.
// sending (a face), file, microphone, ending (the last frames and the video are on their way), stopping.
let mode = 'idle';
let show = null; // InStep or AsTheyCome.
let stats = null;
let microphone = null;
let video = null; // {size, parts} in the making.

window.s2f = {get stats() { return stats?.summary ?? null; }};

// What is seen.

const tell = (id, text) => {
  $(id).textContent = text;
  $(id).hidden = !text;
};
const state = (text) => { $('state').textContent = text; };
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

function progress(seconds, whole) {
  $('progress').value = Math.min(seconds / whole, 1);
  $('time').textContent = `${clock(Math.min(seconds, whole))} / ${clock(whole)}`;
}

const isFree = () => connected && !preparing && mode === 'idle';

function update() {
  const free = isFree();
  for (const id of ['choose-face', 'open-camera', 'example-face']) $(id).disabled = !free;
  for (const id of ['speak', 'choose-sound', 'example-sound']) $(id).disabled = !free || !shown;
  $('running').hidden = !['file', 'microphone', 'ending'].includes(mode);
  $('finish').hidden = mode !== 'microphone';
  $('stop').textContent = mode === 'file' ? 'Stop' : 'Discard';
  $('on-air').hidden = mode !== 'microphone' && mode !== 'file';
  $('on-air-text').textContent = mode === 'microphone' ? 'Live' : 'Playing';
  $('level').hidden = mode !== 'microphone';
  $('empty').hidden = !$('seen').hidden;
}

function forget() { // The video of before.
  video = null;
  forgetVideo();
}

// The connection.

link.addEventListener('welcome', ({detail}) => {
  welcome = detail;
  connected = true;
  $('connection').textContent = 'Connected';
  $('connection').dataset.state = 'open';
  $('model').textContent = `${detail.model}, ${detail.width}×${detail.height}, ${detail.fps} frames/s`;
  $('model').hidden = false;
  $('banner').hidden = true;
  $('frame').style.aspectRatio = `${detail.width} / ${detail.height}`;
  $('example-face').hidden = $('example-sound').hidden = !detail.example;
  tell('kept', detail.kept
    ? 'Whoever runs this page keeps each video and its picture.'
    : 'Pictures and sounds are forgotten when this page is closed.');
  findMicrophone();
  if (face !== null && !preparing) sendFace();
  update();
});

function broken(text, again) {
  shown = connected = false;
  endShow();
  mode = 'idle';
  state('');
  $('connection').textContent = 'Not connected';
  $('connection').dataset.state = 'closed';
  tell('banner-text', text);
  $('banner').hidden = false;
  $('again').hidden = !again;
  update();
}

link.addEventListener('full', ({detail}) => broken(detail.text, false));
link.addEventListener('bye', ({detail}) => broken(detail.text, true));
link.addEventListener('closed', ({detail}) => {
  if (!detail.why) broken('The connection to the program was lost; it is tried again.', false);
});
$('again').addEventListener('click', () => {
  $('banner').hidden = true;
  link.open();
});

let said = 0;
for (const gesture of ['pointerdown', 'keydown']) {
  document.addEventListener(gesture, () => {
    if (performance.now() - said < ALIVE_EVERY) return;
    said = performance.now();
    link.say('alive');
  });
}

async function findMicrophone() {
  const can = navigator.mediaDevices !== undefined && !welcome.files_only;
  const found = can ? await navigator.mediaDevices.enumerateDevices() : [];
  const heard = found.some(({kind}) => kind === 'audioinput');
  const seen = found.some(({kind}) => kind === 'videoinput');
  $('speak').hidden = !heard;
  $('open-camera').hidden = !seen;
  let why = '';
  if (!heard && !welcome.files_only) {
    why = can
      ? 'No microphone was found, so that sound comes from files alone.'
      : 'Browsers give a microphone only to https and to this machine’s own pages, so that sound comes from files alone here.';
  }
  tell('no-microphone', why);
  $('choose-sound').classList.toggle('primary', !heard);
}

// The face.

async function chooseFace(file) {
  if (!file || !isFree()) return;
  preparing = true;
  update();
  try {
    face = await prepared(file, welcome.limits);
  } finally {
    preparing = false;
    update();
  }
  if (connected) sendFace(); // Or once it is again.
}

function sendFace() {
  mode = 'sending';
  state('Sending the picture.');
  update();
  tell('face-message', '');
  forget();
  if (face === 'example') link.say('example', {what: 'face'});
  else link.upload('face', face.blob, {name: face.name});
}

link.addEventListener('face', ({detail}) => {
  shown = true;
  taken = face;
  mode = 'idle';
  showFace(detail, face === 'example' ? null : face.blob);
  update();
  state('Ready: give it a voice.');
});

link.addEventListener('crop', async ({detail}) => {
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
  const photo = await photographed();
  if (photo) chooseFace(new File([photo], 'photo.jpg', {type: 'image/jpeg'}));
});
$('example-face').addEventListener('click', () => {
  face = 'example';
  sendFace();
});

// The voice.

function begin(what) {
  forget();
  tell('sound-message', '');
  mode = what;
  stats = new Stats(what, 1000 / welcome.fps);
  state('');
  update();
  $('stage').scrollIntoView({block: 'nearest'});
  $(what === 'file' ? 'stop' : 'finish').focus({preventScroll: true});
}

function seed() {
  const value = Number($('seed').value);
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32 ? value : 0;
}

function chooseSound(file) {
  if (!file || !shown || !isFree() || !play()) return;
  link.upload('sound', file, {name: file.name || 'sound', seed: seed()});
}

function play() {
  begin('file');
  state('Listening to the file.');
  try {
    show = new InStep(stage, stats, welcome, unplayable);
  } catch (error) {
    mode = 'idle';
    noSound(error);
  }
  return show !== null;
}

function noSound(error) {
  state('');
  tell('sound-message', `This browser cannot play the sound (${error.message}): choose another file.`);
  update();
}

function unplayable(error) {
  stop();
  noSound(error);
}

async function speak() {
  begin('microphone');
  state('Waiting for the microphone.');
  const opened = microphone = new Microphone();
  const most = welcome.limits.sound_seconds;
  opened.peak = opened.quiet = 0; // Of 1; seconds.
  const onPiece = (samples, peak) => {
    if (mode === 'microphone' || mode === 'ending') link.bytes(samples); // Else it is not wanted.
    opened.peak = Math.max(opened.peak, peak);
    opened.quiet = peak > 0.05 ? 0 : opened.quiet + samples.length / opened.rate;
    if (opened.seconds >= most) finish();
  };
  try {
    await opened.open(welcome.rate, onPiece, finish);
  } catch (error) {
    await opened.close();
    if (microphone === opened) {
      microphone = null;
      mode = 'idle';
      tell('sound-message', microphoneMistake(error));
      update();
    }
    return;
  }
  if (mode !== 'microphone' || microphone !== opened) {
    await opened.close();
    return;
  }
  show = new AsTheyCome(stage, stats, welcome, (seconds) => opened.spokenAt(seconds));
  link.say('speak', {rate: opened.rate, seed: seed()});
  opened.start();
  state(`Speak; ${most} s at most.`);
}

function seeMicrophone() {
  const level = 1 + Math.log10(Math.max(microphone.peak, 1e-3)) / 3; // Of 60 dB.
  $('loudness').value = Math.max(level, $('loudness').value - 0.1);
  $('level-text').textContent = microphone.quiet > 3 ? 'Very quiet: speak up, or choose another microphone.' : '';
  microphone.peak = 0;
  progress(microphone.seconds, welcome.limits.sound_seconds);
}

async function finish() {
  if (mode !== 'microphone' || show === null) return;
  mode = 'ending';
  update();
  const opened = microphone;
  microphone = null;
  await opened.end();
  if (mode === 'ending' || mode === 'idle') link.say('end');
  await opened.close();
}

function stop() {
  if (!['file', 'microphone', 'ending'].includes(mode)) return;
  mode = 'stopping';
  endShow();
  link.say('stop');
  update();
}

function endShow() {
  microphone?.close();
  microphone = null;
  if (show instanceof InStep) show.stop();
  show = null;
  video = null;
}

link.addEventListener('stopped', () => {
  mode = 'idle';
  state('Ready: give it a voice.');
  update();
});

link.addEventListener('sound', ({detail}) => { if (show instanceof InStep) show.sound(detail); });
link.addEventListener('pcm', ({detail}) => { if (show instanceof InStep) show.addSound(detail.data); });
link.addEventListener('frame', ({detail}) => show?.add(detail.number, detail.data));
link.addEventListener('status', ({detail}) => {
  if (show === null) return;
  stats.server = detail;
  if (mode === 'microphone' && detail.behind_s > 0.5) {
    state(`This machine is ${detail.behind_s.toFixed(1)} s behind you: it is too slow for this model, or has other visitors.`);
  }
});

link.addEventListener('error', ({detail}) => {
  if (detail.about === 'keep') {
    tell('sound-message', detail.text);
  } else if (detail.about === 'face') {
    face = taken;
    mode = 'idle';
    state('');
    tell('face-message', detail.text);
  } else {
    endShow();
    mode = 'idle';
    state('');
    tell('sound-message', detail.text);
    link.say('stop'); // What is still on its way is not meant for the next one.
    mode = 'stopping';
  }
  update();
});

// What came of it.

link.addEventListener('done', ({detail}) => {
  if (show === null) return;
  stats.server = detail;
  if (mode === 'microphone') finish(); // It was enough.
  video = {size: detail.bytes, parts: [], got: 0, seconds: detail.sound_s};
});

link.addEventListener('video', async ({detail}) => {
  if (video === null) return;
  video.parts.push(detail.data);
  video.got += detail.data.byteLength;
  if (video.got < video.size) return;
  const {parts, size, seconds} = video, shows = show;
  await (shows instanceof InStep ? shows.ended : shows.end());
  if (show !== shows) return; // It was stopped meanwhile.
  show = null;
  mode = 'idle';
  stats.done = true;
  stats.draw();
  giveVideo(parts, size);
  progress(seconds, seconds);
  state('Done. The video has the sound, and says that it is synthetic.');
  update();
});

$('speak').addEventListener('click', speak);
$('finish').addEventListener('click', finish);
$('stop').addEventListener('click', stop);
$('choose-sound').addEventListener('click', () => $('sound-file').click());
$('sound-file').addEventListener('change', ({target}) => {
  chooseSound(target.files[0]);
  target.value = '';
});
$('example-sound').addEventListener('click', () => {
  if (play()) link.say('example', {what: 'sound', seed: seed()});
});

filesFromElsewhere((file) => {
  if (!isSound(file)) chooseFace(file);
  else if (!shown) tell('sound-message', 'Choose a face first: the sound is for it.');
  else chooseSound(file);
});
document.addEventListener('keydown', ({key}) => {
  if (key === 'Escape' && !$('camera-dialog').open) stop();
});

setInterval(() => {
  stats?.draw();
  if (mode === 'microphone' && show !== null) seeMicrophone();
  if (mode === 'file' && show?.playing) {
    progress(show.heard, show.seconds);
    state(show.waitsForGesture ? 'Press a key or tap the page to hear it.' : 'The face speaks.');
  }
}, SEEN_EVERY);
update();
link.open();
