"""Two folders of videos compared with each other."""

import collections

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media import writer
from s2f_jax.evaluation.video_folders import compare_folders


@pytest.fixture(autouse=True)
def without_models(monkeypatch, tmp_path):
    """No face landmarks and no embedder, and no attempt to fetch them."""
    for name in ("S2F_FACE_LANDMARKER", "S2F_FACE_EMBEDDER"):
        monkeypatch.setenv(name, str(tmp_path / "no_model"))


@pytest.fixture
def folders(tmp_path):
    """Two folders of videos: a, b equally long; c longer, d larger, e and f alone, g broken."""
    rng = np.random.default_rng(0)
    for side, lengths in (("videos", {"a": 4, "b": 4, "c": 5, "d": 4, "e": 4, "g": 4}),
                          ("real", {"a": 4, "b": 4, "c": 4, "d": 4, "f": 4, "g": 4})):  # fmt: skip
        for name, length in lengths.items():
            size = 48 if (side, name) == ("real", "d") else 32
            grey = rng.integers(60, 200, (length, 1, 1, 3))
            frames = np.broadcast_to(grey, (length, size, 24, 3)).astype(np.uint8)
            writer.write_video(tmp_path / side / f"{name}.mp4", frames, 25)
    (tmp_path / "videos" / "g.mp4").write_bytes(b"no video")
    (tmp_path / "videos" / "notes.txt").write_text("not a video")
    return tmp_path


def test_folders_of_videos_are_scored_and_the_rest_counted(folders):
    report = compare_folders(folders / "videos", folders / "real", folders / "out")
    assert list(report["rows"]) == ["videos"]
    cells = report["rows"]["videos"]
    for metric in ("psnr", "ssim", "fdbm"):
        cell = cells[metric]
        assert cell["clips"] == 2
        reasons = collections.Counter(cell["unscored"])
        broken = [reason for reason in reasons if reason.startswith("the video: ")]
        assert reasons.pop(broken[0]) == 1
        assert reasons == {
            "another number of frames than the reference": 1,
            "another size than the reference": 1,
            "no video of that name among the videos": 1,
            "no video of that name in the reference": 1,
        }
    assert {cell["clips"] + sum(cell["unscored"].values()) for cell in cells.values()} == {7}
    assert cells["lmd"]["unscored"]["no face landmark model"] == 2
    assert cells["acd_l2"]["unscored"]["no face embedder"] == 2
    assert cells["cpbd"]["unscored"]["smaller than CPBD's 64x64 blocks"] == 2
    assert cells["psnr_mouth"]["unscored"]["not an aligned face"] == 2
    assert len(list((folders / "out" / "samples").iterdir())) == 2


def test_a_folder_against_itself_is_identical(folders):
    report = compare_folders(folders / "real", folders / "real", folders / "out")
    cells = report["rows"]["videos"]
    assert cells["ssim"]["mean"] == pytest.approx(1, abs=1e-5)
    assert cells["psnr"]["mean"] is None and cells["psnr"]["clips"] == 6


def test_folders_that_cannot_be_scored_are_refused(folders):
    (folders / "empty").mkdir()
    with pytest.raises(UserError, match="--videos=.*empty has no video"):
        compare_folders(folders / "empty", folders / "real", folders / "out")
    with pytest.raises(UserError, match="--reference=.*nowhere is not a folder"):
        compare_folders(folders / "real", folders / "nowhere", folders / "out")
    (folders / "real" / "a.mpg").write_bytes(b"")
    with pytest.raises(UserError, match="both a.mp4 and a.mpg"):
        compare_folders(folders / "real", folders / "videos", folders / "out")
