"""Tells up from down: whether the landmarks found lie on the face the right way up.

For a face that stands on its head, the Face Landmarker finds nothing, or an upright mesh with its
mouth on the eyes. BlazeFace's score tells: it is highest for the crop in which the face is upright.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from data_pipelines.faces import alignment, regions
from data_pipelines.faces.detector import Detection
from data_pipelines.faces.regions import DetectedFace, FaceRegion

DetectFaces = Callable[[np.ndarray], Sequence[Detection]]
FindFaces = Callable[[np.ndarray], Sequence[DetectedFace]]

_MARGIN, _WIDE_MARGIN = 2.0, 3.0  # Widths of the crops, in sizes of the face.
_DETECTOR_SIDE = 192  # Pixels of the crops that the detector sees.
_LANDMARK_SIDE = 512  # And of those that landmarks are searched in.
# The figures are of GRID frames of 12 speakers at tilts all round, also blurred, dark, noisy, at
# JPEG quality 4, with covered eyes or mouth. A score that no landmarks the wrong way up reach (0.84
# at most, of 296), and all right ones of plain frames do (0.88 at least, of 806).
_SURE_SCORE = 0.86
# Degrees by which the eyes that the detector sees may be tilted otherwise than the landmarks; in
# plain frames up to 9 in 99 %. Where more, one look at a crop that is turned accordingly decides,
# and changes what was found only if it differs by _SAME.
_ROUGH, _SAME = 12.0, 10.0
# By how much the mean score of a close and a wide crop must be higher after a quarter turn. Right
# landmarks are behind by 0.04 at most, of 1335; wrong ones by more in 97 %, in plain frames in all.
_LEAD = 0.05
MIN_SCORE = 0.45  # Mean of both crops, of a face; right landmarks have 0.51 at least.
_MAX_TURNS = 4
_REACH = 0.9  # Of the face's size: how far landmarks may lie off the face.


def verify_orientation(
    image: np.ndarray,
    face: DetectedFace,
    detect: DetectFaces,
    find: FindFaces,
    min_score: float = MIN_SCORE,
) -> DetectedFace | None:
    """Verifies that landmarks are the right way up, and finds the right ones if they are not.

    Args:
      image: uint8 [H, W, 3], RGB.
      face: A face that was found in it.
      detect: Detects faces in a crop.
      find: Finds faces in a crop in which they are upright.
      min_score: Of the detector, below which it is no face.

    Returns:
      The face as it is if it is the right way up; the right one if it is not; None if it is none.
    """
    for _ in range(_MAX_TURNS):
        region = regions.landmark_region(face.landmarks)
        found = _detect_near(image, region, _MARGIN, detect)
        if found.score >= _SURE_SCORE and _turn(region, found) < _ROUGH:
            return face
        best, found = _best_quarter(image, region, detect)
        if found.score < min_score:
            return None
        if _turn(region, found) < _ROUGH:
            return face
        again = find_in_region(image, found.region, find)
        if again is None:
            return None if best else face
        place = regions.landmark_region(again.landmarks)
        if not best and abs(regions.wrap_degrees(place.tilt - region.tilt)) < _SAME:
            return face
        face = again
    return face


def find_in_region(image: np.ndarray, region: FaceRegion, find: FindFaces) -> DetectedFace | None:
    """Finds the landmarks of a face in an upright crop.

    Args:
      image: uint8 [H, W, 3], RGB.
      region: Where the face lies.
      find: Finds faces in the crop.

    Returns:
      The face nearest to the middle of the crop, in pixels of the image; None if there is none.
    """

    def distance(face: DetectedFace) -> float:
        center = regions.landmark_region(face.landmarks).center
        return float(np.hypot(*np.subtract(center, region.center)))

    faces = find_around(image, region, find, _MARGIN)
    nearest = min(faces, key=distance, default=None)
    return nearest if nearest is not None and distance(nearest) < region.size / 2 else None


def find_around(
    image: np.ndarray, region: FaceRegion, find: FindFaces, margin: float
) -> list[DetectedFace]:
    """Finds faces in an upright crop.

    Args:
      image: uint8 [H, W, 3], RGB.
      region: Where a face is expected.
      find: Finds faces in the crop.
      margin: Width of the crop, in sizes of the face.

    Returns:
      The faces, in pixels of the image, the largest first.
    """
    crop, transform = regions.crop_region(image, region, margin, _LANDMARK_SIDE)
    inverse = cv2.invertAffineTransform(transform)
    return [
        DetectedFace(
            alignment.transform_points(inverse, face.landmarks).astype(np.float32), face.blink
        )
        for face in find(crop)
    ]


def _detect_near(
    image: np.ndarray, region: FaceRegion, margin: float, detect: DetectFaces
) -> Detection:
    """Returns the surest detection near the middle of a crop; the score is 0 if there is none."""
    crop, transform = regions.crop_region(image, region, margin, _DETECTOR_SIDE)
    for score, found in detect(crop):
        place = regions.moved_region(found, cv2.invertAffineTransform(transform))
        if np.hypot(*np.subtract(place.center, region.center)) < _REACH * region.size:
            return Detection(score, place)
    return Detection(0.0, region)


def _best_quarter(
    image: np.ndarray, region: FaceRegion, detect: DetectFaces
) -> tuple[int, Detection]:
    """Returns the quarter turn at which a face is detected most surely, and the detection.

    The score is the mean of those in a close and in a wide crop.
    """
    quarters = [region.turned(90 * quarter) for quarter in range(4)]
    close = [_detect_near(image, quarter, _MARGIN, detect) for quarter in quarters]
    wide = [_detect_near(image, quarter, _WIDE_MARGIN, detect) for quarter in quarters]
    scores = np.array([(a.score + b.score) / 2 for a, b in zip(close, wide, strict=True)])
    best = int(np.argmax(scores - _LEAD * (np.arange(4) > 0)))
    place = close[best] if close[best].score else wide[best]
    return best, Detection(float(scores[best]), place.region)


def _turn(region: FaceRegion, found: Detection) -> float:
    """Returns by how many degrees a face turns out to be tilted otherwise."""
    return abs(regions.wrap_degrees(found.region.tilt - region.tilt))
