"""Blinks and brow movements, from landmarks: motion that does not follow from the speech."""

import numpy as np

# An eye that closes loses 0.072 of its aspect ratio from one of 25 frames to the next, or more.
# Nothing else does: in drawn and in real faces any threshold from 0.05 to 0.11 finds the same.
_MIN_FALL = 0.072
_FALL_SECONDS = 0.04  # At other frame rates the threshold is scaled to the nearest whole step.
_MIN_GAP_SECONDS = 0.16  # Between the fastest moments of two blinks: 4 frames of 25.
# A rise within a step that is ignored. With none, a brow's slow rise after a blink, or noise of the
# landmarks, makes drawn blinks 1.4 frames too long.
_MIN_RISE = 0.01
EYE_CORNERS = ((36, 39), (42, 45))  # Landmarks of the right eye, and of the left one.
_BROWS = slice(17, 27)


def find_blinks(eye_opening: np.ndarray, fps: float) -> np.ndarray:
    """Finds the blinks in a series of eye aspect ratios.

    A blink is where the eye closes fastest, at least by 0.072 in 40 ms; it lasts from the maximum
    before to the one after, both above the middle of the clip's range. One that the clip's end
    cuts off ends in the last frame.

    Args:
      eye_opening: Eye aspect ratio [T].
      fps: Frames per second.

    Returns:
      Start, deepest and end frame of each blink, int [n, 3].
    """
    step = max(1, round(_FALL_SECONDS * fps))
    falls = eye_opening[:-step] - eye_opening[step:]
    threshold = _MIN_FALL * step / (_FALL_SECONDS * fps)
    peaks = _peaks(falls, threshold, round(_MIN_GAP_SECONDS * fps))
    blinks = [_blink_around(eye_opening, t, step) for t in peaks]
    # An eye that closes in two steps closes once, and begins with the first: in descending order
    # the earliest start of a deepest frame is the last to be assigned.
    by_deepest = {blink[1]: blink for blink in sorted(blinks, reverse=True)}
    return np.array(sorted(by_deepest.values()), int).reshape(-1, 3)


def blink_durations(eye_opening: np.ndarray, blinks: np.ndarray, fps: float) -> np.ndarray:
    """Measures the blinks that the clip's ends do not cut off.

    Args:
      eye_opening: Eye aspect ratio [T].
      blinks: int [n, 3], from `find_blinks`.
      fps: Frames per second.

    Returns:
      Seconds [m], m <= n.
    """
    ends = blinks[:, [0, 2]]
    whole = (eye_opening[ends] > _mid_range(eye_opening)).all(axis=1)
    return np.diff(ends[whole])[:, 0] / fps


def brow_height(landmarks: np.ndarray, blinks: np.ndarray) -> np.ndarray:
    """Measures how high the brows are above the eyes; its lowest points are frowns.

    The eyes are their corners, which do not move in a blink. But the landmark model draws the brows
    down with the lids, so that within a blink the values are interpolated from its start to its
    end. "Above" is perpendicular to the line from eye to eye, however the head is tilted.

    Args:
      landmarks: [T, 68, 2] in pixels.
      blinks: int [n, 3], from `find_blinks`.

    Returns:
      Height [T] over the distance between the eyes.
    """
    points = np.asarray(landmarks, np.float64)
    right, left = (points[:, corners].mean(axis=1) for corners in EYE_CORNERS)
    x, y = (points[:, _BROWS].mean(axis=1) - (right + left) / 2).T
    across_x, across_y = (left - right).T
    # In images y points downwards.
    height = (across_y * x - across_x * y) / (across_x**2 + across_y**2)
    times = np.arange(len(height))
    blinking = np.zeros(len(height), bool)
    for start, _, end in blinks:
        blinking[start + 1 : end + (end == times[-1])] = True  # One that is cut off has no end.
    return np.interp(times, times[~blinking], height[~blinking])


def _peaks(falls: np.ndarray, threshold: float, min_distance: int) -> list[int]:
    """Indices of the largest values [T] above the threshold, no two closer than the distance."""
    peaks: list[int] = []
    for t in np.argsort(-falls, kind="stable").tolist():
        if falls[t] >= threshold and all(abs(t - peak) >= min_distance for peak in peaks):
            peaks.append(t)
    return peaks


def _blink_around(opening: np.ndarray, t: int, step: int) -> tuple[int, int, int]:
    """Start, deepest and end frame of the blink that closes from frame t to t + step."""
    middle, last = _mid_range(opening), len(opening) - 1
    start = t
    while start > 0 and (
        opening[start] <= middle or opening[max(start - step, 0)] > opening[start] + _MIN_RISE
    ):
        start -= 1
    end = t + step
    while end < last and opening[min(end + step, last)] < opening[end]:
        end += 1
    while end < last and (
        opening[end] <= middle or opening[min(end + step, last)] > opening[end] + _MIN_RISE
    ):
        end += 1
    return start, t + int(np.argmin(opening[t : end + 1])), end


def _mid_range(series: np.ndarray) -> float:
    return (series.max() + series.min()) / 2
