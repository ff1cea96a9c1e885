"""Which moments of generated videos count as expressions."""

import numpy as np
import pytest

from s2f_jax.reports.expressions import Expression, ExpressionCollector, centered_frames


def video(frames):
    """Frame t is of grey t."""
    return (
        np.zeros((frames, 4, 3, 3), np.uint8)
        + np.arange(frames, dtype=np.uint8)[:, None, None, None]
    )


def curves(blinks=(), opening=None, brows=None):
    found = {"blinks": np.array(blinks, np.float32).reshape(-1, 3)}
    found |= {} if opening is None else {"eye_opening": opening}
    return found | ({} if brows is None else {"brow_height": brows})


def shown(expression, columns=5):
    return expression.strip(columns)[:, 0, 0, 0].tolist()


BROWS = np.full(40, 0.3)
MOVED = np.zeros(40)
MOVED[28:35] = [0.02, 0.04, 0.06, 0.08, 0.06, 0.04, 0.02]


def test_the_deepest_blinks_of_different_speakers():
    found = ExpressionCollector(rows=2)
    for i, (speaker, depth) in enumerate([("a", 0.1), ("a", 0.3), ("b", 0.2), ("c", 0.05)]):
        opening = np.full(40, 0.3)
        opening[18:22] -= depth
        found.add(f"clip{i}", speaker, video(40), curves([[17, 20, 22]], opening))
    assert found.caption() == "blinks: clip1 at frame 20, clip2 at frame 20; frowns: none was found"
    assert [each.depth for each in found.by_kind["blink"]] == pytest.approx([0.3, 0.2])
    for each in found.by_kind["blink"]:
        assert shown(each) == [16, 18, 20, 22, 24]  # From before the first to after the last.


def test_unknown_speakers_are_as_many():
    found = ExpressionCollector(rows=2)
    for i in range(3):
        found.add(f"clip{i}", "", video(40), curves([[17, 20, 22]]))
    assert len(found.by_kind["blink"]) == 2


@pytest.mark.parametrize("kind,sign", [("frown", -1), ("raised brow", 1)])
def test_a_frown_is_where_the_brows_sink_and_they_are_raised_where_they_rise(kind, sign):
    found = ExpressionCollector(("frown", "raised brow"))
    found.add("clip", "a", video(40), curves(brows=BROWS + sign * MOVED))
    (only,) = found.by_kind[kind]
    assert sum(map(len, found.by_kind.values())) == 1
    assert only.frames[1] == 31 and shown(only) == [27, 29, 31, 33, 35]
    assert only.depth == pytest.approx(0.08)
    assert f"{kind}s: clip at frame 31" in found.caption()


def test_what_is_not_asked_for_is_not_kept():
    found = ExpressionCollector(("blink",))
    found.add("clip", "a", video(40), curves(brows=BROWS - MOVED))
    assert found.by_kind == {"blink": []}


@pytest.mark.parametrize(
    "brows",
    [
        np.full(40, 0.3),
        0.3 + 0.01 * np.sin(np.arange(40)),
        BROWS + 0.35 * MOVED,
        np.full(40, np.nan),
        np.zeros(0),
        np.ones(2),
    ],
)
def test_none_where_the_brows_are_still_or_unknown(brows):
    found = ExpressionCollector(("blink", "frown", "raised brow"))
    found.add("clip", "a", video(40), curves(brows=brows))
    found.add("clip", "a", video(40), {})
    assert not any(found.by_kind.values())


def test_a_kept_video_does_not_keep_its_batch():
    batch, found = np.stack([video(40)] * 3), ExpressionCollector()
    found.add("clip", "a", batch[1], curves([[17, 20, 22]]))
    assert found.by_kind["blink"][0].video.base is None


@pytest.mark.parametrize("frames,columns", [(1, 7), (3, 7), (7, 7), (8, 7), (40, 7), (250, 9)])
def test_strips_stay_inside_the_video(frames, columns):
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, deepest, last = np.sort(rng.integers(0, frames, 3)).tolist()
        at = shown(Expression(1.0, "", "", (first, deepest, last), video(frames)), columns)
        assert len(at) == columns and (np.diff(at) >= 0).all()
        if frames >= columns:
            assert deepest in range(at[0], at[-1] + 1)
            assert len(set(at)) == columns


@pytest.mark.parametrize(
    "middle,frames,expected",
    [
        (10, 40, [8, 9, 10, 11]),
        (0, 40, [0, 1, 2, 3]),
        (39, 40, [36, 37, 38, 39]),
        (1, 2, [0, 1, 1, 1]),
    ],
)
def test_moments_around_another(middle, frames, expected):
    assert centered_frames(middle, 4, frames).tolist() == expected
