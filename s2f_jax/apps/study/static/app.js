// The page of a study: consent, code and sound check, trials, thanks.

import {beeps} from './beeps.js';
import {forget, recall, remember} from './memory.js';
import {request, RequestError} from './server.js';
import {Trial} from './trial.js';

const SECTIONS = ['consent', 'sound', 'trial', 'thanks'];
const RELOAD_WAIT = 2000; // Milliseconds until a video is loaded again.
const $ = (id) => document.getElementById(id);

let study = null; // Response of /api/study.
let trial = null;
let progress = null; // code, answered, trials.
let number = 0; // Index of the trial that is shown.
let reloading = false;

function showMessage(text) {
  $('banner').textContent = text;
  $('banner').hidden = !text;
}

function showSection(section) {
  for (const id of SECTIONS) $(id).hidden = id !== section;
  $(section).querySelector('h2').focus({preventScroll: true});
  scrollTo(0, 0);
  $('footer').hidden = section !== 'trial';
}

function setProgress(response) {
  progress = response;
  remember(study.id, response.code);
  for (const id of ['own-code', 'last-code', 'footer-code']) $(id).textContent = response.code;
  const unit = study.kind === 'preference' ? 'Pair' : 'Video';
  const done = response.answered === response.trials;
  $('far-text').textContent = done ? 'All answered' : `${unit} ${response.answered + 1} of ${response.trials}`;
  $('progress').max = response.trials;
  $('progress').value = response.answered;
  $('far').hidden = false;
}

/** Runs an action; if the server rejects it, shows why. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    showMessage(error.message);
  }
}

// Joining and resuming.

async function enter(path, message) {
  setProgress(await request(path, message, showMessage));
  forget(`${study.id}-key`);
  if (progress.answered === progress.trials) return showSection('thanks');
  $('back').hidden = progress.answered === 0;
  $('back').textContent = `Welcome back: you have answered ${progress.answered} of ${progress.trials}.`;
  newBeeps();
  showSection('sound');
}

async function begin() {
  study = await request('study', null, showMessage);
  $('consent-text').textContent = study.consent;
  trial = new Trial(study, vote, reload);
  const code = recall(study.id);
  if (code === null) return showSection('consent');
  try {
    await enter('resume', {code});
  } catch (error) {
    if (error.why !== 'code') throw error;
    forget(study.id); // Withdrawn.
    showSection('consent');
  }
}

$('agree').addEventListener('click', async () => {
  $('agree').disabled = true;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const random = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const key = recall(`${study.id}-key`) ?? random; // A key whose request got no response.
  remember(`${study.id}-key`, key);
  await attempt(() => enter('join', {key}));
  $('agree').disabled = false;
});

$('resume').addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(() => enter('resume', {code: $('code').value}));
});

$('another').addEventListener('click', () => {
  forget(study.id);
  location.reload();
});

// The sound check.

let count = 0;
const audio = new Audio();

function newBeeps() {
  count = 1 + Math.floor(4 * Math.random());
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(beeps(count));
  for (const button of $('counts').children) button.disabled = true;
}

$('beep').addEventListener('click', async () => {
  audio.muted = false;
  audio.volume = 1;
  audio.currentTime = 0;
  try {
    await audio.play();
    $('heard').textContent = 'How many did you hear?';
    for (const button of $('counts').children) button.disabled = false;
  } catch (error) {
    $('heard').textContent = `This browser cannot play the beeps (${error.message}): use another one.`;
  }
});

for (const button of $('counts').children) {
  button.addEventListener('click', async () => {
    audio.pause();
    if (Number(button.textContent) !== count) {
      $('heard').textContent = 'That is not the right number: turn the sound up and play the beeps again.';
      return newBeeps();
    }
    $('heard').textContent = '';
    await attempt(showTrial);
  });
}

// Trials.

async function showTrial() {
  const view = await request('show', {code: progress.code}, showMessage);
  if (view.finished) return showSection('thanks');
  number = view.number;
  setProgress({...progress, answered: number});
  showSection('trial');
  trial.show(view);
}

async function vote(answer) {
  try {
    setProgress(await request('vote', {code: progress.code, trial: number, ...answer}, showMessage));
    await showTrial();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    if (error.why !== 'code') await attempt(showTrial); // It is answered already, or has to be shown again.
    showMessage(error.message);
  }
}

/** Shows the trial again: a restarted server gives videos new names. */
async function reload() {
  if (reloading) return;
  reloading = true;
  showMessage('A video could not be loaded; trying again.');
  await new Promise((done) => setTimeout(done, RELOAD_WAIT));
  reloading = false;
  if (!$('trial').hidden) await attempt(showTrial);
}

attempt(begin);
