// The page: consent, the code and a sound check, trial by trial, thanks.

import {beeps} from './beeps.js';
import {forget, recall, remember} from './memory.js';
import {ask, Refused} from './server.js';
import {Trial} from './trial.js';

const STATES = ['consent', 'sound', 'trial', 'thanks'];
const RELOAD = 2000; // Milliseconds until a video that could not be had is asked for again.
const $ = (id) => document.getElementById(id);

let study = null; // As the server tells it.
let trial = null; // The Trial.
let standing = null; // code, answered, trials.
let number = 0; // Of the trial that is shown.
let reloading = false;

function tell(text) {
  $('banner').textContent = text;
  $('banner').hidden = !text;
}

function see(state) {
  for (const id of STATES) $(id).hidden = id !== state;
  $(`${state}`).querySelector('h2').focus({preventScroll: true});
  scrollTo(0, 0);
  $('footer').hidden = state !== 'trial';
}

function stand(told) {
  standing = told;
  remember(study.id, told.code);
  for (const id of ['own-code', 'last-code', 'footer-code']) $(id).textContent = told.code;
  const what = study.kind === 'preference' ? 'Pair' : 'Video';
  const done = told.answered === told.trials;
  $('far-text').textContent = done ? 'All answered' : `${what} ${told.answered + 1} of ${told.trials}`;
  $('progress').max = told.trials;
  $('progress').value = told.answered;
  $('far').hidden = false;
}

/** Does what may be refused; a refusal is told. */
async function attempt(act) {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(error.message);
  }
}

// Coming in.

async function enter(path, message) {
  stand(await ask(path, message, tell));
  forget(`${study.id}-key`);
  if (standing.answered === standing.trials) return see('thanks');
  $('back').hidden = standing.answered === 0;
  $('back').textContent = `Welcome back: ${standing.answered} of ${standing.trials} are answered.`;
  draw();
  see('sound');
}

async function begin() {
  study = await ask('study', null, tell);
  $('consent-text').textContent = study.consent;
  trial = new Trial(study, vote, reload);
  const code = recall(study.id);
  if (code === null) return see('consent');
  try {
    await enter('resume', {code});
  } catch (error) {
    if (error.why !== 'code') throw error;
    forget(study.id); // Withdrawn.
    see('consent');
  }
}

$('agree').addEventListener('click', async () => {
  $('agree').disabled = true;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const drawn = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const key = recall(`${study.id}-key`) ?? drawn; // Of one who asked before and got no answer.
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

function draw() {
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
    $('heard').textContent = 'How many were there?';
    for (const button of $('counts').children) button.disabled = false;
  } catch (error) {
    $('heard').textContent = `This browser cannot play them (${error.message}): take another one.`;
  }
});

for (const button of $('counts').children) {
  button.addEventListener('click', async () => {
    audio.pause();
    if (Number(button.textContent) !== count) {
      $('heard').textContent = 'That is not how many there were: turn the sound up, and play them again.';
      return draw();
    }
    $('heard').textContent = '';
    await attempt(show);
  });
}

// Trial by trial.

async function show() {
  const shown = await ask('show', {code: standing.code}, tell);
  if (shown.finished) return see('thanks');
  number = shown.number;
  stand({...standing, answered: number});
  see('trial');
  trial.show(shown);
}

async function vote(given) {
  try {
    stand(await ask('vote', {code: standing.code, trial: number, ...given}, tell));
    await show();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.why !== 'code') await attempt(show); // What stands already, or is to be seen again.
    tell(error.message);
  }
}

/** The names of videos are others where the server was begun anew. */
async function reload() {
  if (reloading) return;
  reloading = true;
  tell('A video could not be loaded; this page goes on trying.');
  await new Promise((done) => setTimeout(done, RELOAD));
  reloading = false;
  if (!$('trial').hidden) await attempt(show);
}

attempt(begin);
