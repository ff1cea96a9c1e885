"""`prepare` on GRID-like clips with a stand-in for the landmark model, also in its workers.

python -m tests.data_pipelines.stand_in_prepare MANUAL_DIR DATA_DIR WORKERS
"""

import sys
import time

import numpy as np

from data_pipelines import prepare
from data_pipelines.aligning import shards
from data_pipelines.faces import landmarks
from data_pipelines.media import writer
from tests import stand_in_faces

PITCHES = {f"{speaker}/{name}": pitch for pitch, (speaker, name) in enumerate(
    (s, n) for s in ("s1", "s2", "s3", "s9") for n in ("bbaf2n", "lgbz8s", "pric2a", "swwp2s")
)}  # fmt: skip


class Finder(stand_in_faces.Finder):
    """At the pace of the real model."""

    def __call__(self, image):
        time.sleep(0.004)
        return super().__call__(image)


def write_corpus(folder):
    """Four speakers, four clips each; no two sound or look alike."""
    for clip, k in PITCHES.items():
        rng = np.random.default_rng(k)
        frames = rng.integers(0, 255, (1, 12, 8, 3)).repeat(75, 0).repeat(8, 1).repeat(8, 2)
        tone = 0.3 * np.sin(np.arange(48000) / (5 + k))
        path = folder / f"{clip}.mp4"
        writer.write_video(path, frames.astype(np.uint8), 25, tone, 16000)
        path.rename(path.with_suffix(".mpg"))


def data(**fields):
    """config.data as configs/base.py has it, but small."""
    form = {"corpus": "grid", "height": 32, "width": 24, "audio_rate": 16000, "fps": 25}
    rest = {"speakers": (), "max_bad_share": 0.0, "prepare_workers": 1, "options": {}}
    rest |= {"max_seconds": 30.0, "max_filled": 0.75}
    return form | rest | fields


if __name__ in ("__main__", "__mp_main__"):  # Also in its workers.
    landmarks.FaceFinder = Finder
    landmarks.model_path = lambda: None
    shards.SHARD_BYTES = 200_000  # Several a split.

if __name__ == "__main__":
    prepare.prepare(data(prepare_workers=int(sys.argv[3])), sys.argv[1], sys.argv[2])
