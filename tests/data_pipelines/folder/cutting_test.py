import numpy as np
import pytest

from data_pipelines.folder import cutting
from data_pipelines.folder.cutting import Segment

FPS = 25


def levels(*pieces):
    """(dB, seconds), ... -> a level for each frame."""
    return np.concatenate([np.full(round(s * FPS), db, np.float32) for db, s in pieces])


def cut(*pieces, min_seconds=1.0, max_seconds=10.0):
    return cutting.cut_at_pauses(levels(*pieces), FPS, min_seconds, max_seconds)


def random_talk(rng):
    """Speech of any length with pauses of any length, in noise."""
    noise = rng.uniform(-90, -50)
    pieces = [np.zeros(0)]
    for _ in range(rng.integers(0, 40)):
        pieces.append(rng.uniform(noise - 2, noise, rng.integers(1, 60)))
        pieces.append(rng.uniform(-35, -15, rng.integers(1, rng.choice([20, 200, 600]))))
    return np.concatenate(pieces).astype(np.float32)


def test_a_clip_has_three_tenths_of_a_second_of_silence_at_its_ends():
    assert cut((-70, 2), (-20, 4), (-70, 2)) == [Segment(50 - 8, 150 + 8)]
    assert cut((-20, 4), (-70, 2)) == [Segment(0, 108)]  # There is nothing before the first frame.


def test_a_long_pause_is_left_out_and_a_shorter_one_stays():
    talk = (-70, 1), (-20, 3), (-70, 0.8), (-20, 2), (-70, 1.2), (-20, 3), (-70, 1)
    assert cut(*talk) == [Segment(25 - 8, 170 + 8), Segment(200 - 8, 275 + 8)]


def test_too_much_for_one_clip_is_cut_in_its_longest_pause():
    talk = (-20, 4), (-70, 0.4), (-20, 3), (-70, 0.8), (-20, 2), (-70, 0.4), (-20, 3)
    first, second = cut(*talk)
    assert (first.start, second.end) == (0, round(13.6 * FPS))
    # From 7.4 to 8.2 s, each side keeps as much as it may: the pause is shorter than two margins.
    assert (first.end, second.start) == (round(7.4 * FPS) + 8, round(8.2 * FPS) - 8)


def test_of_equal_pauses_the_middle_one_is_taken():
    talk = (-20, 3), (-70, 0.4), (-20, 3), (-70, 0.4), (-20, 3), (-70, 0.4), (-20, 3)
    first, second = cut(*talk, max_seconds=8)
    assert first.end == second.start == round(6.6 * FPS)


def test_speech_without_a_pause_is_cut_where_it_is_quietest_and_marked():
    talk = (-20, 8), (-28, 0.12), (-20, 6)
    assert cut(*talk) == [Segment(0, 202, ends_in_speech=True), Segment(202, 353)]
    assert [segment.ends_in_speech for segment in cut((-20, 25))] == [True, True, False]


def test_a_sound_shorter_than_a_clip_has_more_silence_around_it():
    assert cut((-70, 3), (-20, 0.2), (-70, 3)) == [Segment(75 - 10, 80 + 10)]
    (segment,) = cut((-20, 0.2), (-70, 3))
    assert (segment.start, segment.end) == (0, 25)
    assert cut((-20, 0.8)) == []


def test_a_pause_is_kept_where_too_little_would_remain_before_it():
    assert cut((-20, 0.2), (-70, 1.2), (-20, 3)) == [Segment(0, 110)]


@pytest.mark.parametrize("noise", [-100, -60, -40])
def test_the_threshold_depends_on_the_noise(noise):
    intervals = cutting.speech_intervals(
        levels((noise, 1), (-20, 2), (noise, 1), (-26, 2), (noise, 1)), FPS
    )
    assert intervals.tolist() == [[25, 75], [100, 150]]


def test_clicks_are_no_speech_and_closures_no_pauses():
    intervals = cutting.speech_intervals(
        levels((-70, 1), (-20, 0.08), (-70, 1), (-20, 1), (-70, 0.16)), FPS
    )
    assert intervals.tolist() == [[52, 77]]
    intervals = cutting.speech_intervals(
        levels((-70, 1), (-20, 1), (-70, 0.16), (-20, 1), (-70, 1)), FPS
    )
    assert intervals.tolist() == [[25, 79]]


@pytest.mark.parametrize("quiet", [-np.inf, -90, -65])
def test_silence_is_no_clip(quiet):
    assert cut((quiet, 60)) == []
    assert cutting.cut_at_pauses(np.zeros(0, np.float32), FPS, 1, 10) == []


@pytest.mark.parametrize(("fps", "shortest", "longest"), [(25, 1, 10), (30, 0.5, 2), (10, 3, 6.5)])
def test_laws_of_clips_hold_for_any_talk(fps, shortest, longest):
    rng = np.random.default_rng(0)
    total = 0
    for _ in range(150):
        talk = random_talk(rng)
        segments = cutting.cut_at_pauses(talk, fps, shortest, longest)
        total += len(segments)
        for a, b in zip(segments, segments[1:], strict=False):
            assert a.end <= b.start
        for segment in segments:
            assert 0 <= segment.start and segment.end <= len(talk)
            assert shortest * fps <= segment.end - segment.start <= longest * fps
        if len(talk) < np.ceil(shortest * fps):
            continue
        intervals = cutting.speech_intervals(talk, fps)
        covered = np.zeros(len(talk), int)
        for segment in segments:
            covered[segment.start : segment.end] += 1
        for first, last in intervals:
            assert (covered[first:last] == 1).all()
            whole = [
                segment for segment in segments if segment.start <= first and last <= segment.end
            ]
            # Only an interval that leaves too little for pauses on both sides may be in two clips.
            assert len(whole) == 1 or last - first > (longest - 4 * shortest) * fps
        if not any(segment.ends_in_speech for segment in segments):
            ends = {segment.start for segment in segments} | {segment.end for segment in segments}
            assert not any(first < end < last for first, last in intervals for end in ends)
    assert total > 300
