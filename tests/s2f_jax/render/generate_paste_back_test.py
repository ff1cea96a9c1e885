"""`generate --paste_back`: the crop back in the picture that it was taken from."""

import cv2
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment
from data_pipelines.faces import landmarks as landmarks_module
from data_pipelines.media import decode, images
from s2f_jax.provenance import marks
from tests.generating import compiled_once, with_good_files

RNG = np.random.default_rng(0)


@pytest.fixture
def call(run_folder, animator, tmp_path, monkeypatch):
    compiled_once(monkeypatch, run_folder, animator)
    return with_good_files(run_folder, tmp_path)


@pytest.fixture
def portrait(tmp_path, monkeypatch):
    """A picture of odd size with a face that fills a quarter of it."""
    picture = cv2.resize(RNG.integers(60, 200, (5, 6, 3)).astype(np.uint8), (81, 95))
    (tmp_path / "portrait.png").write_bytes(images.encode_png(picture))
    landmarks = np.zeros((68, 2), np.float32)
    angles = np.linspace(np.pi, 0, 17)
    landmarks[:17] = np.stack([6 + 5 * np.cos(angles), 6 + 8 * np.sin(angles)], axis=1)
    landmarks[17:27, 0], landmarks[17:27, 1], landmarks[27] = np.linspace(2, 10, 10), 4, (6, 5)
    landmarks[list(alignment.STABLE)] = alignment.canonical_points(16, 12)
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: [2.5 * landmarks + (20, 30)])
    return picture


def test_paste_back_changes_the_face_alone(call, tmp_path, portrait, capsys):
    output = call(aligned=False, image=tmp_path / "portrait.png", paste_back=True)
    frames = decode.decode_clip(output).frames.astype(int)
    assert "13 frames, 0.52 s, 81x95" in capsys.readouterr().out
    assert marks.read_provenance(output).facts["digitalSourceType"] == marks.COMPOSITE
    assert frames.shape == (13, 96, 82, 3)
    outside = np.ones((95, 81), bool)
    outside[30:72, 20:52] = False
    assert np.abs(frames[:, :95, :81] - portrait)[:, outside].mean() < 2
    assert np.abs(frames[:, 40:60, 28:44] - portrait[40:60, 28:44]).mean() > 5


def test_a_crop_has_no_picture_to_be_pasted_into(call, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(
        UserError, match="--paste_back needs a whole picture: leave it or --aligned out"
    ):
        call(paste_back=True)
    assert sorted(tmp_path.iterdir()) == before
