// One video of a trial: counts plays from start to end, with sound, on a visible page.

const TOLERANCE = 0.2; // Seconds: players round where a video ends.
const INCOMPLETE = 'The video was not played in full with sound: play it again.';

/** Creates a video element that starts to load. */
export function loadVideo(name) {
  const video = document.createElement('video');
  video.preload = 'auto';
  video.playsInline = true;
  video.disablePictureInPicture = true;
  video.disableRemotePlayback = true;
  video.src = `video/${name}`;
  return video;
}

export class Player {
  /** label: such as "video 1"; onChange(player): its state changed; onLoadError(): its file could
   * not be loaded. */
  constructor(video, label, onChange, onLoadError) {
    this.video = video;
    this.plays = 0;
    this.playing = false;
    this.error = '';
    this.onChange = onChange;
    this.button = document.createElement('button');
    this.button.type = 'button';
    this.label = label;
    this.button.addEventListener('click', () => this.play());
    this.box = document.createElement('div');
    this.box.className = 'video';
    video.setAttribute('aria-label', label);
    this.box.append(video, this.button);
    video.addEventListener('ended', () => this.onEnded());
    video.addEventListener('pause', () => !video.ended && this.stop('Playback was stopped: play the video again.'));
    video.addEventListener('seeking', () => this.onSeek());
    video.addEventListener('error', onLoadError);
    if (video.error) onLoadError();
    this.update();
  }

  async play() {
    if (this.playing) return;
    this.playing = true;
    this.error = '';
    this.video.muted = false;
    this.video.volume = 1;
    this.video.playbackRate = 1;
    this.video.currentTime = 0;
    this.box.scrollIntoView({block: 'nearest'});
    this.onChange(this);
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== 'AbortError') this.stop(`The video cannot be played (${error.message}): try again.`);
    }
  }

  /** Stops a play, which does not count. */
  stop(reason = '') {
    if (!this.playing) return;
    this.playing = false;
    this.error = reason;
    this.video.pause();
    this.onChange(this);
  }

  /** Seeking by a key or the system's controls, other than our own to the start, skips a part of this
   * play. `played` would not show it: it holds what earlier plays have covered, too. */
  onSeek() {
    if (this.video.currentTime > TOLERANCE) this.stop(INCOMPLETE);
  }

  onEnded() {
    if (!this.playing) return;
    const {played, duration, muted, volume} = this.video;
    const complete = played.length === 1 && played.start(0) <= TOLERANCE && played.end(0) >= duration - TOLERANCE;
    this.playing = false;
    this.error = complete && !muted && volume > 0 ? '' : INCOMPLETE;
    if (!this.error) this.plays++;
    this.onChange(this);
  }

  update() {
    this.box.dataset.state = this.playing ? 'playing' : 'still';
    this.box.dataset.played = this.plays > 0;
    const text = this.playing ? `Playing ${this.label}` : `Play ${this.label}${this.plays ? ' again' : ''}`;
    if (this.button.textContent !== text) this.button.textContent = text;
  }
}
