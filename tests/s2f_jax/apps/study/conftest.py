"""Folders of small videos: six real clips, four of them by two methods."""

import types

import numpy as np
import pytest

from data_pipelines.media import decode
from tests.s2f_jax.apps.study.small_videos import INSTANTS, folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """real (.mpg, as GRID's), ours and base (.mp4)."""
    root, clips = tmp_path_factory.mktemp("videos"), list(INSTANTS)
    return types.SimpleNamespace(
        real=folder(root / "real", "real", clips, ".mpg"),
        ours=folder(root / "ours", "ours", clips[:4]),
        base=folder(root / "base", "base", clips[:4]),
    )


@pytest.fixture
def brightness():
    """Of the face in a video's first frame, which tells whose it is."""

    def measure(path):
        return float(np.percentile(decode.decode_clip(path).frames[0], 80))

    return measure
