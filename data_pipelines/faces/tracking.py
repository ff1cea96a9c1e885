"""One face through a clip: followed, its gaps filled, its place steadied; image after image."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.common.errors import BadClip
from data_pipelines.faces.landmarks import DetectedFace

MAX_FACES = 4  # To choose from: 5 ms for each that is there, beside 7 for the first.
_MAX_FACELESS = 0.1  # Of a clip's images; and no gap longer than:
_MAX_GAP = 5  # Images.
# Of the face's size, by which its landmarks may move from one image to the next, and over several
# images without any face. In GRID they move by 0.023 at most; where a film is cut from one face to
# another in its place, by 0.18.
_MAX_STEP, _MAX_STEPS = 0.15, 0.5
_MAX_OUTSIDE = 0.25  # Of the landmarks, beyond the picture's edge.


class TrackedFace(NamedTuple):
    """The face in one image."""

    image: np.ndarray  # uint8 [H, W, 3].
    landmarks: np.ndarray  # float32 [68, 2]; where unseen, between those before and after.
    blink: float  # 0 open to 1 closed, NaN where unseen.


def track_face(images: Iterable[np.ndarray], find: Callable) -> Iterator[TrackedFace]:
    """The face that is largest when the first one appears, as long as it moves in small steps.

    find: a faces.FaceFinder. An image given twice is searched once. Holds the images of a gap.
    Raises BadClip where the face is unseen for too long or too often, jumps, or leaves the picture.
    """
    unseen, empty, missing, last, t = [], 0, 0, None, -1
    image, face, others = None, None, []
    for t, shown in enumerate(images):
        if shown is not image:
            image, others = shown, find(shown)
            face = nearest_face(others, last, empty)
            if face is not None and _share_outside(face, image) > _MAX_OUTSIDE:
                raise BadClip(f"the face leaves the picture at frame {t}")
        if face is None:
            unseen.append(shown)
            missing += 1
            empty += not others
            if len(unseen) > _MAX_GAP:
                raise BadClip(_gap(t - _MAX_GAP, jumped=bool(others) and last is not None))
            continue
        yield from _fill(unseen, last, face)
        yield TrackedFace(shown, face.landmarks, face.blink)
        unseen, empty, last = [], 0, face
    if last is None or missing > _MAX_FACELESS * (t + 1):
        raise BadClip(f"no face in {missing} of {t + 1} frames")
    yield from _fill(unseen, last, last)


def smooth_landmarks(
    faces: Iterable[TrackedFace], window: int
) -> Iterator[tuple[TrackedFace, np.ndarray]]:
    """Each face and its landmarks' centred mean over `window` images; at the ends, what there is.

    Gives a face half a window after it was given one.
    """
    half = window // 2
    near: collections.deque[TrackedFace | None] = collections.deque([None] * window, maxlen=window)
    for face in itertools.chain(faces, itertools.repeat(None, half)):
        near.append(face)
        if (centre := near[half]) is not None:
            around = np.array([face.landmarks for face in near if face is not None], np.float64)
            yield centre, around.mean(axis=0)


def nearest_face(
    found: Sequence[DetectedFace], last: DetectedFace | None, unseen: int
) -> DetectedFace | None:
    """Of the faces, largest first, the one nearest to the last; None where it is out of reach.

    unseen: images since the last, in which it may have moved on. Without a last one, the largest.
    """
    if last is None:
        return next(iter(found), None)
    reach = min(_MAX_STEP * (unseen + 1), _MAX_STEPS)
    size = np.sqrt(np.prod(np.ptp(last.landmarks, axis=0)))
    steps = [_step(face, last) for face in found]
    i = min(range(len(found)), key=steps.__getitem__, default=None)
    return None if i is None or steps[i] > reach * size else found[i]


def _step(face: DetectedFace, last: DetectedFace) -> float:
    """Pixels between the two, in the mean over the landmarks."""
    return float(np.linalg.norm(face.landmarks - last.landmarks, axis=1).mean())


def _share_outside(face: DetectedFace, image: np.ndarray) -> float:
    """Of the landmarks."""
    x, y = face.landmarks.T
    inside = (x >= 0) & (y >= 0) & (x <= image.shape[1] - 1) & (y <= image.shape[0] - 1)
    return float(1 - inside.mean())


def _fill(
    unseen: Sequence[np.ndarray], before: DetectedFace | None, after: DetectedFace
) -> Iterator[TrackedFace]:
    """The images of a gap, with landmarks between those at its ends."""
    start = after.landmarks if before is None else before.landmarks
    for i, image in enumerate(unseen, 1):
        share = np.float32(i / (len(unseen) + 1))
        yield TrackedFace(image, (1 - share) * start + share * after.landmarks, np.nan)


def _gap(start: int, jumped: bool) -> str:
    if jumped:
        return f"the face jumps at frame {start}"
    return f"no face in {_MAX_GAP + 1} frames in a row, from frame {start}"
