"""The end of `make demo`: a speaker the demo model has never seen, under another one's sentence."""

import pathlib
import wave

from data_pipelines import prepare
from data_pipelines.common import files
from data_pipelines.loading import dataset
from data_pipelines.media import images
from s2f_jax.render.generate import generate
from s2f_jax.runs import workdir

FOLDER = pathlib.Path("runs/demo")


def speak(clip: dataset.DatasetClip, speech: dataset.DatasetClip, output: pathlib.Path) -> None:
    """One speaker's still and another one's sentence, through files as a person would have them."""
    image, audio = FOLDER / "unseen_face.png", FOLDER / "unseen_speech.wav"
    files.write_atomically(image, images.encode_png(clip.frames[0]))
    with wave.open(str(audio), "wb") as file:
        file.setparams((1, 2, speech.audio_rate, len(speech.audio), "NONE", ""))
        file.writeframes(speech.audio.astype("<i2").tobytes())
    generate(str(FOLDER), [str(image)], [str(audio)], str(output), aligned=True)


def main() -> None:
    config = workdir.read_config(FOLDER)
    clips = dataset.open_dataset(config.data, "test", prepare.data_dir(config.data))
    video = FOLDER / "unseen_speaker.mp4"
    speak(clips[0], clips[len(clips) // 2], video)
    print(f"an unseen speaker: {video}")
    print(f"scores and more videos: {FOLDER / 'evaluation/test/report.html'}")


if __name__ == "__main__":
    main()
