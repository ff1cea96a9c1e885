import pathlib
import zipfile

import numpy as np
import pytest

from data_pipelines import contract
from data_pipelines.aligning import align_clip
from data_pipelines.common.errors import BadClip
from data_pipelines.faces import alignment
from data_pipelines.faces.landmarks import DetectedFace
from data_pipelines.media import writer

CONFIG = contract.CorpusConfig(height=32, width=24, audio_rate=16000, fps=25)


class Finder:
    """Finds the same face in every frame, twice as large as the aligned one, but for some frames."""

    def __init__(self, blind=(), jump=()):
        self.calls, self.blind, self.jump = -1, blind, jump

    def __call__(self, image):
        self.calls += 1
        if self.calls in self.blind:
            return []
        landmarks = np.full((68, 2), 20.0, np.float32)
        landmarks[list(alignment.STABLE)] = 2 * alignment.canonical_points(32, 24) + 5
        if self.calls in self.jump:
            landmarks += 40
        return [DetectedFace(landmarks, blink=self.calls / 100)]


def raw_clip(folder, frames=15, fps=25.0, audio=True, **fields):
    path = pathlib.Path(folder) / "clip.mp4"
    pixels = np.full((frames, 80, 60, 3), 90, np.uint8)
    sound = 0.5 * np.sin(np.arange(round(16000 * frames / fps)) / 5) if audio else None
    writer.write_video(path, pixels, fps, sound, 16000)
    return align_clip.RawClip("s1_clip", "s1", path, align_clip.file_stamp(path), **fields)


def test_an_aligned_clip_keeps_the_contract(tmp_path):
    words = (contract.TimedText("bin", 0.1, 0.2),)
    raw = raw_clip(tmp_path, frame_count=15, transcript="bin", words=words)
    aligned = align_clip.align_clip(raw, CONFIG, Finder())
    example = align_clip.make_example(raw, aligned, CONFIG)
    contract.check_example(example, CONFIG)
    assert example["words"] == [{"text": "bin", "start": 0.1, "end": 0.2}]
    stable = aligned.landmarks[:, list(alignment.STABLE)]
    np.testing.assert_allclose(
        stable, np.broadcast_to(alignment.canonical_points(32, 24), stable.shape), atol=1e-4
    )
    np.testing.assert_allclose(aligned.blink, np.arange(15) / 100, atol=1e-6)
    assert np.abs(aligned.audio).max() == pytest.approx(16384, rel=0.1)


def test_a_member_of_a_zip_is_the_same_clip(tmp_path):
    raw = raw_clip(tmp_path)
    with zipfile.ZipFile(tmp_path / "s1.zip", "w") as archive:
        archive.write(raw.path, "s1/clip.mp4")
    packed = align_clip.RawClip("s1_clip", "s1", tmp_path / "s1.zip", "1", member="s1/clip.mp4")
    first, second = (align_clip.align_clip(r, CONFIG, Finder()) for r in (raw, packed))
    assert first.jpegs == second.jpegs
    np.testing.assert_array_equal(first.audio, second.audio)


@pytest.mark.parametrize(
    ("make", "finder", "reason"),
    [
        ({"frame_count": 75}, Finder(), "15 frames instead of 75"),
        ({"audio": False}, Finder(), "no sound"),
        ({"frames": 30}, Finder(blind=range(4)), "no face in 4 of 30 frames"),
        (
            {"frames": 75},
            Finder(blind=range(10, 16)),
            "no face in 6 frames in a row, from frame 10",
        ),
        ({"frames": 30}, Finder(jump=range(20, 30)), "the face jumps at frame 20"),
    ],
)
def test_an_unfit_clip_is_refused_with_the_reason(tmp_path, make, finder, reason):
    with pytest.raises(BadClip, match=reason):
        align_clip.align_clip(raw_clip(tmp_path, **make), CONFIG, finder)


def test_a_silent_clip_is_refused(tmp_path):
    raw = raw_clip(tmp_path)
    writer.write_video(raw.path, np.full((15, 80, 60, 3), 90, np.uint8), 25, np.zeros(9600), 16000)
    with pytest.raises(BadClip, match="silent"):
        align_clip.align_clip(raw, CONFIG, Finder())


def test_an_example_that_breaks_the_contract_is_named(tmp_path):
    raw = raw_clip(tmp_path)
    example = align_clip.make_example(raw, align_clip.align_clip(raw, CONFIG, Finder()), CONFIG)
    for name, value in {
        "audio": example["audio"][:-1],
        "landmarks": example["landmarks"].astype(np.float64),
        "frames": example["frames"][:-1],
        "audio_rate": 48000,
        "words": [{"text": "x", "start": 2.0, "end": 1.0}],
    }.items():
        with pytest.raises(ValueError, match="s1_clip breaks"):
            contract.check_example(example | {name: value}, CONFIG)
    with pytest.raises(ValueError, match="lacks.*blink"):
        contract.check_example({name: v for name, v in example.items() if name != "blink"}, CONFIG)
