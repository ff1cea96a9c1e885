"""Blinks and brows, read off landmarks: the signs of life that the sound does not tell."""

import numpy as np

# An eye that closes loses 0.072 of its aspect ratio from one of 25 frames to the next, or more.
# Nothing else does: of drawn and of real faces any threshold from 0.05 to 0.11 finds the same.
_FASTEST = 0.072
_STEP = 0.04  # Seconds; at other rates the fall over about so long counts, in proportion.
_APART = 0.16  # Seconds between two blinks' fastest moments: 4 frames of 25.
# A change within a step that is no rise yet. With none, a brow's slow rise after a blink, or noise
# of the landmarks, makes drawn blinks 1.4 frames too long.
_LEVEL = 0.01
EYE_CORNERS = ((36, 39), (42, 45))  # Of the right eye, and the left one.
_BROWS = slice(17, 27)


def find_blinks(opening: np.ndarray, fps: float) -> np.ndarray:
    """Eye aspect ratio [T] -> start, deepest and end frame of each blink, int [n, 3].

    A blink is where the eye closes fastest, at least by 0.072 in 40 ms; it lasts from the maximum
    before to the one after, both above the middle of the clip's range. One that the clip's end
    cuts off ends in the last frame.
    """
    step = max(1, round(_STEP * fps))
    falls = opening[:-step] - opening[step:]
    threshold = _FASTEST * step / (_STEP * fps)
    found = [_around(opening, t, step) for t in _peaks(falls, threshold, round(_APART * fps))]
    # An eye that closes in two steps closes once, and begins with the first.
    once = {deepest: (start, deepest, end) for start, deepest, end in sorted(found, reverse=True)}
    return np.array(sorted(once.values()), int).reshape(-1, 3)


def blink_durations(opening: np.ndarray, found: np.ndarray, fps: float) -> np.ndarray:
    """What `blinks` was given and found -> seconds of those that are whole, [m]."""
    ends = found[:, [0, 2]]
    whole = (opening[ends] > _middle(opening)).all(axis=1)
    return np.diff(ends[whole])[:, 0] / fps


def brow_height(landmarks: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Landmarks [T, 68, 2] and blinks [n, 3] -> how high the brows are above the eyes, [T].

    In distances of the eyes; its lowest points are frowns. Of the eyes the corners count, which
    stay where they are in a blink; but the landmark model draws the brows down with the lids, so
    that within a blink the line from its start to its end is given. Up is across the line from eye
    to eye, however the head is tilted.
    """
    points = np.asarray(landmarks, np.float64)
    right, left = (points[:, corners].mean(axis=1) for corners in EYE_CORNERS)
    x, y = (points[:, _BROWS].mean(axis=1) - (right + left) / 2).T
    across_x, across_y = (left - right).T
    # In pictures y points downwards.
    height = (across_y * x - across_x * y) / (across_x**2 + across_y**2)
    times = np.arange(len(height))
    blinking = np.zeros(len(height), bool)
    for start, _, end in found:
        blinking[start + 1 : end + (end == times[-1])] = True  # Cut off there, it goes on.
    return np.interp(times, times[~blinking], height[~blinking])


def _peaks(falls: np.ndarray, threshold: float, apart: int) -> list[int]:
    """The largest values [T], none below the threshold, no two closer than `apart`."""
    chosen: list[int] = []
    for t in np.argsort(-falls, kind="stable").tolist():
        if falls[t] >= threshold and all(abs(t - other) >= apart for other in chosen):
            chosen.append(t)
    return chosen


def _around(opening: np.ndarray, t: int, step: int) -> tuple[int, int, int]:
    """Start, deepest and end of the blink that closes from frame t to t + step."""
    middle, last = _middle(opening), len(opening) - 1
    start = t
    while start > 0 and (
        opening[start] <= middle or opening[max(start - step, 0)] > opening[start] + _LEVEL
    ):
        start -= 1
    end = t + step
    while end < last and opening[min(end + step, last)] < opening[end]:
        end += 1
    while end < last and (
        opening[end] <= middle or opening[min(end + step, last)] > opening[end] + _LEVEL
    ):
        end += 1
    return start, t + int(np.argmin(opening[t : end + 1])), end


def _middle(opening: np.ndarray) -> float:
    """Of the clip's range."""
    return (opening.max() + opening.min()) / 2
