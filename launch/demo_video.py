"""The end of `make demo` and `make person`: a face that was held out under another held-out sentence."""

import pathlib
import sys
import wave

from data_pipelines import prepare
from data_pipelines.common import files
from data_pipelines.loading import dataset
from data_pipelines.media import images
from s2f_jax.render.generate import generate
from s2f_jax.runs import workdir

DEMO = "runs/demo"


def speak(
    clip: dataset.DatasetClip, speech: dataset.DatasetClip, folder: pathlib.Path
) -> pathlib.Path:
    """One clip's still and another one's sentence, through files as a person would have them."""
    image, audio = folder / "unseen_face.png", folder / "unseen_speech.wav"
    files.write_atomically(image, images.encode_png(clip.frames[0]))
    with wave.open(str(audio), "wb") as file:
        file.setparams((1, 2, speech.audio_rate, len(speech.audio), "NONE", ""))
        file.writeframes(speech.audio.astype("<i2").tobytes())
    video = folder / "unseen_speaker.mp4"
    generate(str(folder), [str(image)], [str(audio)], str(video), aligned=True)
    return video


def main(run: str = DEMO) -> None:
    folder = pathlib.Path(run)
    config = workdir.read_config(folder)
    clips = dataset.open_dataset(config.data, "test", prepare.data_dir(config.data))
    video = speak(clips[0], clips[len(clips) // 2], folder)
    print(f"held out from training: {video}")
    print(f"scores and more videos: {folder / 'evaluation/test/report.html'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
