"""The crops of a lip reader, and what augmentation does not change."""

import cv2
import numpy as np
import pytest

from data_pipelines.common.errors import CorruptRecord
from data_pipelines.faces import alignment
from data_pipelines.loading import charset, lipreading_examples


class _Clip:
    id, location, fps = "s1_bbaf2n", "record 0", 25

    def __init__(self, frames, transcript="bin blue at f two now", words=()):
        self.frames, self.transcript, self.words = frames, transcript, words

    def __len__(self):
        return len(self.frames)

    def decode(self, first, count, length=0, mirror=False, out=None):
        chosen = self.frames[first : first + count]
        return np.ascontiguousarray(chosen[:, :, ::-1]) if mirror else chosen


def _example(clip, seed=0, mirror=False, out=None, **changes):
    fields = dict(frames=12, max_letters=30, jitter=0.0, shift=0.0) | changes
    crop = lipreading_examples.MouthCrop(16, 24, 10.0)
    rng = np.random.default_rng(seed)
    return lipreading_examples.lipreading_example(clip, rng, mirror, out, crop=crop, **fields)


def _counting(frames, height=64, width=48):
    """Frame t has the grey level 10 + 5 t."""
    levels = np.arange(frames, dtype=np.uint8) * 5 + 10
    return np.broadcast_to(levels[:, None, None, None], (frames, height, width, 3)).copy()


@pytest.mark.parametrize("size", [(128, 96), (64, 48), (256, 192)])
def test_the_mouth_is_in_the_middle_and_of_the_given_width(size):
    """A mouth is drawn where GRID's speakers have theirs, 27 of 96 wide; the crop shows it 40 wide."""
    height, width = size
    transform = lipreading_examples.MouthCrop(50, 100, 40.0).transform(height, width)
    corners = (np.array([[36.1, 88.0], [63.3, 88.0]]) + 0.5) * (width / 96) - 0.5
    (x1, y1), (x2, y2) = corners @ transform[:, :2].T + transform[:, 2]
    np.testing.assert_allclose(x2 - x1, 40, atol=1e-9)
    np.testing.assert_allclose([(x1 + x2) / 2, y1, y2], [49.5, 24.5, 24.5], atol=1e-9)


def test_lipnets_crop_lies_within_the_face():
    inverse = cv2.invertAffineTransform(
        lipreading_examples.MouthCrop(50, 100, 40.0).transform(128, 96)
    )
    ends = np.array([[0, 0], [99, 49]]) @ inverse[:, :2].T + inverse[:, 2]
    assert (ends >= 0).all() and (ends <= [95, 127]).all()
    nose = alignment.CANONICAL[0]
    assert ends[0, 1] < nose[1] + 4  # From about the nose's base down.


def test_a_crop_of_one_to_one_is_a_part_of_the_frame():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 128, 96, 3)).astype(np.uint8)
    # Odd sides and a half-pixel shift put the pixels' centres on each other.
    crop = lipreading_examples.MouthCrop(33, 41, 27.2)
    offset = crop.transform(128, 96)[:, 2]
    whole = np.round(offset)
    found = crop(frames, whole - offset)
    x, y = (-whole).astype(int)
    np.testing.assert_array_equal(found, frames[:, y : y + 33, x : x + 41])


def test_a_shift_moves_the_mouth_by_its_pixels():
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (1, 64, 48, 3)).astype(np.uint8)
    crop = lipreading_examples.MouthCrop(16, 24, 10.0)
    still, moved = crop(frames), crop(frames, (2, -1))
    np.testing.assert_array_equal(moved[:, :-1, 2:], still[:, 1:, :-2])


def test_jitter_keeps_the_order_and_most_frames():
    rng = np.random.default_rng(0)
    lengths = []
    for _ in range(300):
        indices = lipreading_examples.jitter_indices(75, 75, 0.1, rng)
        assert (np.diff(indices) >= 0).all() and len(indices) <= 75
        assert np.bincount(indices).max() <= 2
        lengths.append(len(np.unique(indices)))
    # 5 % are left out: 71.25 of 75 remain, give or take 0.11 over 300 draws.
    assert abs(np.mean(lengths) - 71.25) < 0.5
    np.testing.assert_array_equal(
        lipreading_examples.jitter_indices(75, 75, 0.0, rng), np.arange(75)
    )


def test_frames_are_repeated_only_up_to_the_length():
    rng = np.random.default_rng(0)
    longer = [len(lipreading_examples.jitter_indices(75, 80, 0.1, rng)) for _ in range(100)]
    assert 75 < max(longer) <= 80
    # Half of the frames twice, half dropped: never beyond the length, whatever is drawn.
    assert max(len(lipreading_examples.jitter_indices(20, 21, 1.0, rng)) for _ in range(100)) == 21


def test_an_example_holds_the_mouth_the_mask_and_the_letters():
    example = _example(_Clip(_counting(9)), steps_per_frame=3)
    assert example["frames"].shape == (12, 16, 24, 3) and example["frames"].dtype == np.uint8
    np.testing.assert_array_equal(example["frames"][:9, 0, 0, 0], np.arange(9) * 5 + 10)
    assert not example["frames"][9:].any()
    np.testing.assert_array_equal(example["mask"], np.arange(12) < 9)
    letters = example["letters"]
    assert charset.decode(letters[letters >= 0]) == "bin blue at f two now"
    assert len(letters) == 30 and (letters[21:] == -1).all()


def test_letters_are_spread_over_the_time_of_their_words():
    """Frames of 0.04 s, two steps each: "at" from step 2 to 8, "f" from 9 to 11 of 14."""
    clip = _Clip(_counting(7), "at f", [("at", 0.04, 0.16), ("f", 0.18, 0.22)])
    said = lipreading_examples.letters_in_time(clip, 2)
    at, f, blank = charset.encode("aatt  "), charset.encode("f "), [charset.BLANK]
    np.testing.assert_array_equal(said, [*blank * 2, *at, *blank, *f, *blank * 3])
    unknown = _Clip(_counting(7), "at f")
    assert (lipreading_examples.letters_in_time(unknown, 2) == -1).all()
    example = _example(clip, frames=9, steps_per_frame=2)
    np.testing.assert_array_equal(example["steps"], [*said, *[-1] * 4])


def test_a_transcript_that_its_clip_is_too_short_for_is_named():
    """ "three" needs six steps: the two e are told apart by a blank."""
    assert lipreading_examples.ctc_steps(charset.encode("three")) == 6
    assert _example(_Clip(_counting(6), "three"))["mask"].sum() == 6
    for seed in range(20):  # No frame can be spared.
        assert _example(_Clip(_counting(6), "three"), seed, jitter=0.9)["mask"].sum() >= 6
    with pytest.raises(CorruptRecord, match="5 frames for 5 letters, too few for CTC"):
        _example(_Clip(_counting(5), "three"))
    assert _example(_Clip(_counting(5), "three"), steps_per_frame=2)["mask"].sum() == 5


def test_a_dropped_frame_takes_its_letters_along():
    words = [("at", 0.0, 0.12), ("f", 0.12, 0.28)]
    example = _example(_Clip(_counting(7), "at f", words), 3, jitter=0.8, frames=9)
    kept = (example["frames"][example["mask"]][:, 0, 0, 0] - 10) // 5
    said = charset.encode("at ff  ")
    np.testing.assert_array_equal(example["steps"][: len(kept)], said[kept])
    assert len(set(kept)) < 7


def test_mirroring_and_jitter_leave_the_letters_and_change_the_picture():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (9, 64, 48, 3)).astype(np.uint8)
    plain = _example(_Clip(frames, "bin"))
    mirrored = _example(_Clip(frames, "bin"), mirror=True)
    np.testing.assert_array_equal(mirrored["letters"], plain["letters"])
    np.testing.assert_array_equal(
        mirrored["frames"], _example(_Clip(frames[:, :, ::-1].copy(), "bin"))["frames"]
    )
    assert (mirrored["frames"] != plain["frames"]).any()
    varied = [_example(_Clip(frames, "bin"), seed, jitter=0.5, shift=2.0) for seed in range(5)]
    for example in varied:
        np.testing.assert_array_equal(example["letters"], plain["letters"])
        assert 0 < example["mask"].sum() <= 12
    assert len({example["frames"].tobytes() for example in varied}) == 5


def test_the_same_draw_gives_the_same_example_in_a_given_array():
    clip = _Clip(_counting(9), "bin")
    once = _example(clip, 7, jitter=0.3, shift=1.0)
    out = np.full((12, 16, 24, 3), 99, np.uint8)
    again = _example(clip, 7, jitter=0.3, shift=1.0, out=out)
    assert again["frames"] is out
    np.testing.assert_array_equal(again["frames"], once["frames"])


@pytest.mark.parametrize(
    ("transcript", "frames", "reason"),
    [
        ("bin blue at f 2 now", 9, "'2'"),
        ("", 9, "0 letters"),
        ("a " * 40, 9, "79 letters"),
        ("bin", 13, "13 frames"),
    ],
)
def test_a_clip_that_cannot_be_used_is_named(transcript, frames, reason):
    with pytest.raises(CorruptRecord, match=reason):
        _example(_Clip(_counting(frames), transcript))


def test_encoding_is_inverted_by_decoding():
    text = charset.clean(" Place RED  in z, nine-again!\n")
    assert text == "place red in z nine again"
    assert charset.decode(charset.encode(text)) == text
    assert charset.encode("az ").tolist() == [0, 25, 26] and charset.BLANK == 27
    assert charset.decode(np.array([26, 0, 26, 26, 1, 26])) == "a b"
