"""The end of `make demo`: speakers the demo model has never seen, as a video and as a picture."""

import pathlib
import wave

import cv2
import numpy as np

from data_pipelines import files, media, prepare, stored
from s2f_jax import runs
from s2f_jax.animate import Animator
from s2f_jax.generate import generate

FOLDER = pathlib.Path("runs/demo")


def speak(clip: stored.Clip, speech: stored.Clip, output: pathlib.Path) -> None:
    """One speaker's still and another one's sentence, through files as a person would have them."""
    image, audio = FOLDER / "unseen_face.png", FOLDER / "unseen_speech.wav"
    files.write_atomically(image, media.encode_png(clip.frames[0]))
    with wave.open(str(audio), "wb") as file:
        file.setparams((1, 2, speech.audio_rate, len(speech.audio), "NONE", ""))
        file.writeframes(speech.audio.astype("<i2").tobytes())
    generate(str(FOLDER), [str(image)], [str(audio)], str(output), aligned=True)


def strip(clips: list[stored.Clip], frames: slice) -> np.ndarray:
    """Rows generated, real, generated, real ..., enlarged twice."""
    videos = Animator.load(FOLDER).generate_clips(
        np.stack([clip.frames[0] for clip in clips]), [clip.audio for clip in clips]
    )
    rows = []
    for clip, video in zip(clips, videos, strict=True):
        rows += [np.concatenate(list(v[frames]), axis=1) for v in (video, clip.frames)]
    picture = np.concatenate(rows, axis=0)
    return cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)


def main() -> None:
    config = runs.read_config(FOLDER)
    clips = stored.open_clips(config.data, "test", prepare.data_dir(config.data))
    video, picture = FOLDER / "unseen_speaker.mp4", FOLDER / "unseen_speakers.png"
    speak(clips[0], clips[len(clips) // 2], video)
    chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, 3).astype(int)]
    files.write_atomically(picture, media.encode_png(strip(chosen, slice(8, 56, 4))))
    print(f"an unseen speaker: {video}")
    print(f"generated over real: {picture}")
    print(f"scores and more videos: {FOLDER / 'evaluation/test/report.html'}")


if __name__ == "__main__":
    main()
