// A trial: its videos, then its question. It is answered once, by a button or a key.

import {Player, loadVideo} from './player.js';

const TEXTS = { // Not left and right: on a phone one is below the other.
  preference: {labels: ['video 1', 'video 2'], answers: ['Video 1', 'Video 2']},
  turing: {labels: ['the video'], answers: ['Real', 'Generated']},
};
const $ = (id) => document.getElementById(id);
const isTextField = (target) => target.closest('input, textarea, select, summary');

export class Trial {
  /** study: response of /api/study; onAnswer({choice, plays, ms}); onLoadError(): a video could not be
   * loaded. */
  constructor(study, onAnswer, onLoadError) {
    this.study = study;
    this.onAnswer = onAnswer;
    this.onLoadError = onLoadError;
    this.texts = TEXTS[study.kind];
    this.players = [];
    this.preloaded = new Map(); // Name to video, of the next trial.
    this.open = false;
    $('question').textContent = study.question;
    this.buttons = study.choices.map((choice, i) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = this.texts.answers[i];
      button.addEventListener('click', () => this.choose(i));
      return button;
    });
    $('choices').append(...this.buttons);
    const first = study.kind === 'preference' ? '1 and 2 play that video' : '1 plays it again';
    $('keys').textContent = `Keys: space plays the next unseen video, ${first}, ← and → answer.`;
    document.addEventListener('keydown', (event) => this.key(event));
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.stop('The page was hidden: play the video again.');
    });
  }

  show(view) {
    this.stop();
    const videos = view.videos.map((name) => this.preloaded.get(name) ?? loadVideo(name));
    this.players = videos.map(
      (video, i) => new Player(video, this.texts.labels[i], (player) => this.onChange(player), this.onLoadError),
    );
    $('videos').replaceChildren(...this.players.map((player) => player.box));
    this.preloaded = new Map(view.next.map((name) => [name, loadVideo(name)]));
    this.shownAt = performance.now();
    this.open = true;
    for (const button of this.buttons) button.classList.remove('chosen');
    this.update();
    $('question').focus({preventScroll: true});
    scrollTo(0, 0);
  }

  stop(reason) {
    for (const player of this.players) player.stop(reason);
  }

  onChange(changed) {
    if (changed.playing) for (const player of this.players) if (player !== changed) player.stop();
    this.update();
  }

  get allPlayed() {
    return this.players.every((player) => player.plays > 0);
  }

  update() {
    for (const player of this.players) {
      player.update();
      player.button.disabled = !this.open; // Enabled while it plays, so that the keyboard focus is kept.
    }
    for (const button of this.buttons) button.disabled = !this.open || !this.allPlayed;
    const error = this.players.find((player) => player.error)?.error;
    const several = this.players.length > 1;
    const left = this.players.filter((player) => !player.plays).length;
    let text = error;
    if (!this.open) text = 'Storing your answer';
    else if (!text && this.allPlayed) text = 'Please answer. You can also play again first.';
    else if (!text) text = several ? `Play ${left > 1 ? 'both videos' : 'the other video, too'}.` : 'Play the video.';
    if ($('state').textContent !== text) $('state').textContent = text;
  }

  choose(i) {
    if (!this.open || !this.allPlayed) return;
    this.open = false;
    this.stop();
    this.buttons[i].classList.add('chosen');
    this.update();
    const ms = Math.round(performance.now() - this.shownAt);
    this.onAnswer({choice: this.study.choices[i], plays: this.players.map((player) => player.plays), ms});
  }

  key(event) {
    if ($('trial').hidden || !this.open || isTextField(event.target)) return;
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const onControl = event.target.closest('button, a') !== null;
    const unplayed = this.players.find((player) => !player.plays);
    if (event.key === ' ' && !onControl) unplayed?.play();
    else if (event.key === '1' || event.key === '2') this.players[event.key - 1]?.play();
    else if (event.key === 'ArrowLeft') this.choose(0);
    else if (event.key === 'ArrowRight') this.choose(1);
    else return;
    event.preventDefault();
  }
}
