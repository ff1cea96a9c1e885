// One video of a trial: played from its start to its end, with sound, on a page that is seen.

const SLACK = 0.2; // Seconds that may lack: players round where a video ends.
const PARTLY = 'It was not played in full, with sound: play it again.';

/** A video that loads now and is shown later. */
export function loading(name) {
  const video = document.createElement('video');
  video.preload = 'auto';
  video.playsInline = true;
  video.disablePictureInPicture = true;
  video.disableRemotePlayback = true;
  video.src = `video/${name}`;
  return video;
}

export class Player {
  /** label: such as "video 1"; changed(): after anything happened; lost(): its file
   * cannot be had. */
  constructor(video, label, changed, lost) {
    this.video = video;
    this.plays = 0;
    this.playing = false;
    this.failed = '';
    this.changed = changed;
    this.button = document.createElement('button');
    this.button.type = 'button';
    this.label = label;
    this.button.addEventListener('click', () => this.play());
    this.box = document.createElement('div');
    this.box.className = 'video';
    video.setAttribute('aria-label', label);
    this.box.append(video, this.button);
    video.addEventListener('ended', () => this.ended());
    video.addEventListener('pause', () => !video.ended && this.stop('It was stopped: play it again.'));
    video.addEventListener('seeking', () => this.sought());
    video.addEventListener('error', lost);
    if (video.error) lost();
    this.update();
  }

  async play() {
    if (this.playing) return;
    this.playing = true;
    this.failed = '';
    this.video.muted = false;
    this.video.volume = 1;
    this.video.playbackRate = 1;
    this.video.currentTime = 0;
    this.box.scrollIntoView({block: 'nearest'});
    this.changed(this);
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== 'AbortError') this.stop(`It cannot be played (${error.message}): try again.`);
    }
  }

  /** It does not count. */
  stop(why = '') {
    if (!this.playing) return;
    this.playing = false;
    this.failed = why;
    this.video.pause();
    this.changed(this);
  }

  /** Anything but our own going to the start, by a key of the keyboard or the system's controls, skips
   * a part of this play. `played` would not tell: it holds what other plays have shown, too. */
  sought() {
    if (this.video.currentTime > SLACK) this.stop(PARTLY);
  }

  ended() {
    if (!this.playing) return;
    const {played, duration, muted, volume} = this.video;
    const whole = played.length === 1 && played.start(0) <= SLACK && played.end(0) >= duration - SLACK;
    this.playing = false;
    this.failed = whole && !muted && volume > 0 ? '' : PARTLY;
    if (!this.failed) this.plays++;
    this.changed(this);
  }

  update() {
    this.box.dataset.state = this.playing ? 'playing' : 'still';
    this.box.dataset.played = this.plays > 0;
    const text = this.playing ? `Playing ${this.label}` : `Play ${this.label}${this.plays ? ' again' : ''}`;
    if (this.button.textContent !== text) this.button.textContent = text;
  }
}
