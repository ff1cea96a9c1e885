"""Your own talking-head videos, at 128x96 with the paper's recipe.

    python -m s2f_jax.main prepare --config=configs/folder.py --manual_dir=VIDEOS
    python -m s2f_jax.main --config=configs/folder.py

VIDEOS holds a folder per speaker, with videos of any length in it; long ones are cut in their
pauses. Hardware, hours and score to expect depend on them: GRID's in configs/grid.py are a guide.
"""

from typing import Any

from configs import base


def get_config(preset: str = "cvprw2019") -> Any:
    c = base.get_config(preset)
    c.name = "folder"
    c.data.corpus = "folder"
    c.data.options.csv = ""  # Columns file,speaker[,split,transcript,start,end]; empty: by folder.
    c.data.options.speaker_level = 1  # Which folder below the root; 0: each video is a speaker.
    c.data.options.min_seconds = 1.0  # Of a clip cut from a longer video.
    c.data.options.max_clip_seconds = 10.0  # Longer videos are cut in their pauses.
    c.data.options.val_share = 0.15  # Of the speakers.
    c.data.options.test_share = 0.15
    c.data.options.split_seed = 0
    c.data.options.within_speaker = False  # Splits by file: val and test then hold no new faces.
    c.data.options.within_video = False  # Splits by part of each video: no new recordings, either.
    return c
