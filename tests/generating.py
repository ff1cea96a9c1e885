"""`generate` by the small run of the tests: a still, a sound, and what is in the video they give."""

import pathlib

import av
import numpy as np

from data_pipelines.media import images
from s2f_jax.inference.animator import Animator
from s2f_jax.render.generate import generate
from tests.wav_files import wav

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, 48000)


def compiled_once(monkeypatch, run_folder, animator):
    """Loading the run gives the animator that is there already; loading another is as ever."""
    load = Animator.load
    monkeypatch.setattr(
        Animator, "load", lambda path: animator if path == str(run_folder) else load(path)
    )


def with_good_files(run_folder, tmp_path):
    """generate of one still and one sound, with good files in tmp_path for whatever is not given
    -> the video."""
    (tmp_path / "still.png").write_bytes(images.encode_png(STILL))
    good = {
        "checkpoint": run_folder,
        "image": tmp_path / "still.png",
        "audio": wav(tmp_path / "good.wav", SOUND[:8000]),
        "output": tmp_path / "out.mp4",
    }

    def call(aligned=True, seed=0, fps=None, paste_back=False, marks=None, **files):
        paths = {name: str(path) for name, path in (good | files).items()}
        generate(
            paths["checkpoint"],
            [paths["image"]],
            [paths["audio"]],
            paths["output"],
            seed,
            aligned,
            fps=fps,
            paste_back=paste_back,
            **(marks or {}),
        )
        return pathlib.Path(paths["output"])

    return call


def streams(path):
    """-> codecs, frames, seconds of picture and of sound."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        codecs = video.codec_context.name, audio.codec_context.name
        lengths = [float(stream.duration * stream.time_base) for stream in (video, audio)]
        return codecs, sum(1 for _ in container.decode(video)), lengths
