"""The end of `make demo`: a still and a sentence of a speaker the demo model has never seen."""

import pathlib
import wave

from data_pipelines import loader, media, prepare
from s2f_jax import runs
from s2f_jax.generate import generate

FOLDER = pathlib.Path("runs/demo")


def main() -> None:
    config = runs.read_config(FOLDER)
    data_dir = prepare.data_dir(config.data)
    clips = loader.open_clips(config.data, "test", data_dir)
    clip, speech = clips[0], clips[len(clips) // 2]
    image, audio = FOLDER / "unseen_face.png", FOLDER / "unseen_speech.wav"
    media.write_atomically(image, media.encode_png(clip.frames[0]))
    with wave.open(str(audio), "wb") as file:
        file.setparams((1, 2, speech.audio_rate, len(speech.audio), "NONE", ""))
        file.writeframes(speech.audio.astype("<i2").tobytes())
    output = FOLDER / "unseen_speaker.mp4"
    generate(str(FOLDER), str(image), str(audio), str(output), aligned=True)
    print(f'{clip.speaker} says "{speech.transcript}": {output}')
    print(f"report: {FOLDER / 'evaluation/test/report.html'}")


if __name__ == "__main__":
    main()
