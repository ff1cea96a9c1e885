"""Tracks one face through a clip, frame by frame: fills gaps and smooths its position."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from data_pipelines.common.errors import BadClip
from data_pipelines.faces.regions import DetectedFace

# uint8 [H, W, 3] RGB -> the faces in it, the largest first.
Detector = Callable[[np.ndarray], Sequence[DetectedFace]]

MAX_FACES = 4  # To choose from; each takes 5 ms, the first one 7 ms more.
_MAX_MISSING = 0.1  # Share of a clip's frames without the face,
_MAX_GAP = 5  # and number of such frames in a row.
# Of the face's size: how far its landmarks may move from one frame to the next, and over several
# frames without any face. In GRID they move by 0.023 at most; where a film cuts from one face to
# another at the same position, by 0.18.
_MAX_STEP, _MAX_GAP_STEP = 0.15, 0.5
_MAX_OUTSIDE = 0.25  # Share of the landmarks outside the image.


class TrackedFace(NamedTuple):
    """The tracked face in one frame.

    Attributes:
      image: The frame, uint8 [H, W, 3].
      landmarks: float32 [68, 2]; interpolated where the face was not found.
      blink: 0 (open) to 1 (closed), NaN where the face was not found.
    """

    image: np.ndarray
    landmarks: np.ndarray
    blink: float


@runtime_checkable
class SearchingDetector(Protocol):
    """A detector that also finds what one look at the whole image misses: a FaceFinder."""

    def __call__(self, image: np.ndarray) -> Sequence[DetectedFace]:
        """Finds the faces in an image by one look at the whole of it.

        Args:
          image: uint8 [H, W, 3], RGB.

        Returns:
          The faces, the largest first.
        """
        ...

    def search(self, image: np.ndarray) -> Sequence[DetectedFace]:
        """Finds the faces in an image at any size and tilt.

        Args:
          image: uint8 [H, W, 3], RGB.

        Returns:
          The faces, the largest first.
        """
        ...

    def follow(self, image: np.ndarray, last: DetectedFace) -> Sequence[DetectedFace]:
        """Finds the faces in an image, one of which was seen before.

        Args:
          image: uint8 [H, W, 3], RGB.
          last: The face in an earlier frame.

        Returns:
          The faces, the largest first.
        """
        ...


def detect_in_frame(
    image: np.ndarray, previous: DetectedFace | None, search: bool, detect: Detector
) -> Sequence[DetectedFace]:
    """Finds the faces in a frame of a video.

    Args:
      image: The frame, uint8 [H, W, 3].
      previous: The last face of the track; None at its start.
      search: Whether, at the start of a track, faces of any size and tilt are searched for.
      detect: Finds faces; only a SearchingDetector searches, and looks around the last face.

    Returns:
      The faces, the largest first.
    """
    if not isinstance(detect, SearchingDetector):
        return detect(image)
    if previous is not None:
        return detect.follow(image, previous)
    return detect.search(image) if search else detect(image)


def track_face(images: Iterable[np.ndarray], detect: Detector) -> Iterator[TrackedFace]:
    """Tracks the face that is largest in the first frame with a face, as it moves in small steps.

    Only the frames of a gap are held.

    Args:
      images: The frames, uint8 [H, W, 3]; one that is repeated as the same object is searched once.
      detect: Finds the faces in a frame.

    Yields:
      The face in every frame.

    Raises:
      BadClip: The face is missing for too long or too often, jumps, or leaves the image.
    """
    gap: list[np.ndarray] = []  # Frames since the face was last found.
    faceless = 0  # Of these, the ones without any face.
    missing, previous, t = 0, None, -1
    searched, face, candidates = None, None, []
    for t, image in enumerate(images):
        if image is not searched:
            search = len(gap) % _MAX_GAP == 0  # Twice in a clip without faces.
            searched, candidates = image, detect_in_frame(image, previous, search, detect)
            face = nearest_face(candidates, previous, faceless)
            if face is not None and _share_outside(face, image) > _MAX_OUTSIDE:
                raise BadClip(f"the face leaves the picture at frame {t}")
        if face is None:
            gap.append(image)
            missing += 1
            faceless += not candidates
            if len(gap) > _MAX_GAP:
                jumped = bool(candidates) and previous is not None
                raise BadClip(_gap_reason(t - _MAX_GAP, jumped))
            continue
        yield from _interpolate(gap, previous, face)
        yield TrackedFace(image, face.landmarks, face.blink)
        gap, faceless, previous = [], 0, face
    if previous is None or missing > _MAX_MISSING * (t + 1):
        raise BadClip(f"no face in {missing} of {t + 1} frames")
    yield from _interpolate(gap, previous, previous)


def smooth_landmarks(
    faces: Iterable[TrackedFace], window: int
) -> Iterator[tuple[TrackedFace, np.ndarray]]:
    """Averages landmarks over a centered window, which is shorter at the clip's ends.

    Args:
      faces: The face in every frame; consumed half a window ahead.
      window: Number of frames, odd.

    Yields:
      Each face and the mean of its landmarks, float64 [68, 2].
    """
    half = window // 2
    near: collections.deque[TrackedFace | None] = collections.deque([None] * window, maxlen=window)
    for face in itertools.chain(faces, itertools.repeat(None, half)):
        near.append(face)
        if (center := near[half]) is not None:
            points = np.array([face.landmarks for face in near if face is not None], np.float64)
            yield center, points.mean(axis=0)


def nearest_face(
    faces: Sequence[DetectedFace], previous: DetectedFace | None, faceless: int
) -> DetectedFace | None:
    """Selects the face that continues a track.

    Args:
      faces: The faces in a frame, the largest first.
      previous: The last face of the track; None at its start.
      faceless: Number of frames without any face since then, in which it may have moved on.

    Returns:
      The face nearest to the previous one, without that the largest; None if it is too far.
    """
    if previous is None:
        return next(iter(faces), None)
    reach = min(_MAX_STEP * (faceless + 1), _MAX_GAP_STEP)
    size = np.sqrt(np.prod(np.ptp(previous.landmarks, axis=0)))
    steps = [_mean_distance(face, previous) for face in faces]
    i = min(range(len(faces)), key=steps.__getitem__, default=None)
    return None if i is None or steps[i] > reach * size else faces[i]


def _mean_distance(a: DetectedFace, b: DetectedFace) -> float:
    """Returns the mean distance of the landmarks in pixels."""
    return float(np.linalg.norm(a.landmarks - b.landmarks, axis=1).mean())


def _share_outside(face: DetectedFace, image: np.ndarray) -> float:
    """Returns the share of the landmarks outside the image."""
    x, y = face.landmarks.T
    inside = (x >= 0) & (y >= 0) & (x <= image.shape[1] - 1) & (y <= image.shape[0] - 1)
    return float(1 - inside.mean())


def _interpolate(
    gap: Sequence[np.ndarray], before: DetectedFace | None, after: DetectedFace
) -> Iterator[TrackedFace]:
    """Yields the frames of a gap, with landmarks interpolated between those at its ends."""
    start = after.landmarks if before is None else before.landmarks
    for i, image in enumerate(gap, 1):
        share = np.float32(i / (len(gap) + 1))
        yield TrackedFace(image, (1 - share) * start + share * after.landmarks, np.nan)


def _gap_reason(start: int, jumped: bool) -> str:
    if jumped:
        return f"the face jumps at frame {start}"
    return f"no face in {_MAX_GAP + 1} frames in a row, from frame {start}"
