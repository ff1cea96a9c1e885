// A trial: its videos, then its question. An answer is given once, by a button or a key.

import {Player, loading} from './player.js';

const SIDES = { // On a phone nothing is left or right.
  preference: {labels: ['video 1', 'video 2'], answers: ['Video 1', 'Video 2']},
  turing: {labels: ['the video'], answers: ['Real', 'Generated']},
};
const $ = (id) => document.getElementById(id);
const typed = (target) => target.closest('input, textarea, select, summary');

export class Trial {
  /** study: as the server has it; answer({choice, plays, ms}); lost(): a file cannot be had. */
  constructor(study, answer, lost) {
    this.study = study;
    this.answer = answer;
    this.lost = lost;
    this.sides = SIDES[study.kind];
    this.players = [];
    this.ahead = new Map(); // Name to video, of the next trial.
    this.open = false;
    $('question').textContent = study.question;
    this.buttons = study.choices.map((choice, i) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = this.sides.answers[i];
      button.addEventListener('click', () => this.choose(i));
      return button;
    });
    $('choices').append(...this.buttons);
    const first = study.kind === 'preference' ? '1 and 2 play that video' : '1 plays it again';
    $('keys').textContent = `Keys: space plays what you have not seen, ${first}, ← and → answer.`;
    document.addEventListener('keydown', (event) => this.key(event));
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.stop('The page was out of sight: play it again.');
    });
  }

  show(shown) {
    this.stop();
    const videos = shown.videos.map((name) => this.ahead.get(name) ?? loading(name));
    this.players = videos.map(
      (video, i) => new Player(video, this.sides.labels[i], (of) => this.changed(of), this.lost),
    );
    $('videos').replaceChildren(...this.players.map((player) => player.box));
    this.ahead = new Map(shown.next.map((name) => [name, loading(name)]));
    this.begun = performance.now();
    this.open = true;
    for (const button of this.buttons) button.classList.remove('chosen');
    this.update();
    $('question').focus({preventScroll: true});
    scrollTo(0, 0);
  }

  stop(why) {
    for (const player of this.players) player.stop(why);
  }

  changed(of) {
    if (of.playing) for (const other of this.players) if (other !== of) other.stop();
    this.update();
  }

  get seen() {
    return this.players.every((player) => player.plays > 0);
  }

  update() {
    for (const player of this.players) {
      player.update();
      player.button.disabled = !this.open; // Not while it plays: a key pressed then would be lost.
    }
    for (const button of this.buttons) button.disabled = !this.open || !this.seen;
    const failed = this.players.find((player) => player.failed)?.failed;
    const several = this.players.length > 1;
    const left = this.players.filter((player) => !player.plays).length;
    let text = failed;
    if (!this.open) text = 'Storing your answer';
    else if (!text && this.seen) text = 'Your answer, please. You can play again first.';
    else if (!text) text = several ? `Play ${left > 1 ? 'both videos' : 'the other video, too'}.` : 'Play the video.';
    if ($('state').textContent !== text) $('state').textContent = text;
  }

  choose(i) {
    if (!this.open || !this.seen) return;
    this.open = false;
    this.stop();
    this.buttons[i].classList.add('chosen');
    this.update();
    const ms = Math.round(performance.now() - this.begun);
    this.answer({choice: this.study.choices[i], plays: this.players.map((player) => player.plays), ms});
  }

  key(event) {
    if ($('trial').hidden || !this.open || typed(event.target)) return;
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const onControl = event.target.closest('button, a') !== null;
    const unseen = this.players.find((player) => !player.plays);
    if (event.key === ' ' && !onControl) unseen?.play();
    else if (event.key === '1' || event.key === '2') this.players[event.key - 1]?.play();
    else if (event.key === 'ArrowLeft') this.choose(0);
    else if (event.key === 'ArrowRight') this.choose(1);
    else return;
    event.preventDefault();
  }
}
