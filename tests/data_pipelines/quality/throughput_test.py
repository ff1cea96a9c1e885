import numpy as np
import pytest

from configs import base
from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks
from data_pipelines.quality import throughput
from tests import drawn_videos


@pytest.fixture
def data(monkeypatch):
    """GRID's config.data, with a stand-in for the model."""
    monkeypatch.setattr(landmarks, "FaceFinder", drawn_videos.Discs)
    data = base.get_config().data
    data.speakers = ("s1",)
    return data


def write_clip(folder, seconds):
    (folder / "s1").mkdir()
    sound = {"sound": "mp2", "sound_format": "s16", "sound_rate": 44100}
    path = folder / "s1" / "bbaf2n.mpg"
    drawn_videos.write(path, seconds=seconds, codec="mpeg1video", container="mpeg", **sound)


def test_the_whole_path_is_timed_in_alternation_with_the_model_alone(tmp_path, data, monkeypatch):
    monkeypatch.setattr(throughput, "_parallel_rates", lambda *_: np.ones(2))
    write_clip(tmp_path, 3.0)
    figures = throughput.measure(data, str(tmp_path), 0)
    whole, alone = figures["prepare.frames_per_s"], figures["prepare.detector_frames_per_s"]
    assert len(whole) == len(alone) == 3 and "prepare.frames_per_s_2" in figures
    assert 0 < np.median(whole) < np.median(alone)


def test_without_usable_clips_there_is_a_message(tmp_path, data):
    with pytest.raises(UserError, match="give --manual_dir"):
        throughput.measure(data, None, 0)
    write_clip(tmp_path, 1.0)  # GRID's have 75 frames.
    with pytest.raises(UserError, match="none of its 1 clips is usable"):
        throughput.measure(data, str(tmp_path), 0)
    data.corpus, data.speakers = "demo", ()
    with pytest.raises(UserError, match="demo takes no manual_dir"):
        throughput.measure(data, str(tmp_path), 0)
