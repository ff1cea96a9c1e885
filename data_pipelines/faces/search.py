"""Searches an image for faces too small, or tilted too far, for one look at the whole of it."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import cv2
import numpy as np

from data_pipelines.faces import regions, upright
from data_pipelines.faces.detector import Detection
from data_pipelines.faces.regions import DetectedFace, FaceRegion

Item = TypeVar("Item")

_TILE, _STEP = 128, 96  # Pixels: of a tile, which is the detector's input, and to the next one.
# Longer side of the image over a tile's. The detector finds faces from an eighth of the tile on,
# and few that fill it: hence the half, at which the image has a margin.
_DIVISORS = (1, 0.5, 2, 4, 7)
_MIN_SCORE = 0.5  # Of a detection in a tile, which is what the Face Landmarker asks for.
# Mean score of the crops around a face that small tiles show (upright.verify_orientation). Faces
# have 0.83 at least; what is found in textures, 0.64 at most.
_MIN_SMALL_SCORE = 0.7
_SAME_OVERLAP = 0.3  # Of the squares around two faces that are one.
# Of a face that is found: pixels from jaw to jaw, and share of the image's longer side.
_MIN_WIDTH, _MIN_SHARE = 20, 0.03


def search_tiles(
    image: np.ndarray, detect: upright.DetectFaces, find: upright.FindFaces, max_faces: int
) -> list[DetectedFace]:
    """Searches overlapping tiles in all four quarter turns, ever smaller ones.

    Args:
      image: uint8 [H, W, 3], RGB.
      detect: Detects faces in a tile.
      find: Finds faces in a crop in which they are upright.
      max_faces: Number of faces that are looked for.

    Returns:
      The faces of the largest tiles that show any, at most so many.
    """
    for divisor in _DIVISORS:
        scale = _TILE * divisor / max(image.shape[:2])
        if divisor > 1 and scale > 1:
            break  # Smaller tiles would only be enlarged.
        tiles = list(_tiles(image, scale))
        min_score = _MIN_SMALL_SCORE if divisor > 1 else upright.MIN_SCORE
        for quarter in (0, 2, 1, 3):
            faces = []
            detections = sorted(_detections(tiles, scale, quarter, detect), key=lambda d: -d.score)
            for found in _distinct(detections, [d.region for d in detections])[: 2 * max_faces]:
                face = upright.find_in_region(image, found.region, find)
                if face is not None:
                    face = upright.verify_orientation(image, face, detect, find, min_score)
                if face is not None:
                    faces.append(face)
            if faces:
                return distinct_faces(faces)[:max_faces]
    return []


def min_face_width(image: np.ndarray) -> int:
    """Computes how wide a face must be to be found.

    Args:
      image: [H, W, 3].

    Returns:
      Pixels, from jaw to jaw.
    """
    return round(max(_MIN_WIDTH, _MIN_SHARE * max(image.shape[:2])))


def distinct_faces(faces: Sequence[DetectedFace]) -> list[DetectedFace]:
    """Leaves out faces that lie on an earlier one.

    Args:
      faces: The faces, the preferred ones first.

    Returns:
      Those that remain.
    """
    return _distinct(faces, [regions.landmark_region(face.landmarks) for face in faces])


def _distinct(items: Sequence[Item], places: Sequence[FaceRegion]) -> list[Item]:
    """Leaves out items whose place overlaps that of an earlier one."""
    kept: list[int] = []
    for i, place in enumerate(places):
        if all(regions.overlap(place, places[j]) <= _SAME_OVERLAP for j in kept):
            kept.append(i)
    return [items[i] for i in kept]


def _tiles(image: np.ndarray, scale: float) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """Yields the tiles of the scaled image, and the (x, y) at which each begins."""
    size = [max(1, round(scale * side)) for side in image.shape[1::-1]]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(image, size, interpolation=interpolation)
    for y in _starts(size[1]):
        for x in _starts(size[0]):
            yield scaled[y : y + _TILE, x : x + _TILE], (x, y)


def _starts(length: int) -> list[int]:
    """Spreads tiles evenly over a length, no further apart than a step."""
    count = 1 + max(0, -(-(length - _TILE) // _STEP))
    return np.linspace(0, max(0, length - _TILE), count).round().astype(int).tolist()


def _detections(
    tiles: Sequence[tuple[np.ndarray, tuple[int, int]]],
    scale: float,
    quarter: int,
    detect: upright.DetectFaces,
) -> Iterator[Detection]:
    """Yields what is detected in tiles turned by quarter turns, in pixels of the image."""
    for tile, start in tiles:
        turned = np.rot90(tile, quarter)
        for score, found in detect(turned):
            if score < _MIN_SCORE:
                break
            x, y = _turned_back(found.center, quarter, tile.shape[1], tile.shape[0])
            center = (x + start[0] + 0.5) / scale - 0.5, (y + start[1] + 0.5) / scale - 0.5
            tilt = regions.wrap_degrees(found.tilt + 90 * quarter)
            yield Detection(score, FaceRegion(center, found.size / scale, tilt))


def _turned_back(
    point: tuple[float, float], quarter: int, width: int, height: int
) -> tuple[float, float]:
    """Returns where a point of an image turned by np.rot90 lies in the image itself."""
    x, y = point
    places = ((x, y), (width - 1 - y, x), (width - 1 - x, height - 1 - y), (y, height - 1 - x))
    return places[quarter]
