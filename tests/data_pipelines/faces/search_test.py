"""The search in tiles, with a stand-in for the detector: faces are discs with a dark chin."""

import numpy as np
import pytest

from data_pipelines.faces import regions, search
from data_pipelines.faces.detector import Detection
from data_pipelines.faces.regions import FaceRegion
from tests import drawn_videos


class Detector:
    """Detects discs, upright ones more surely; counts its images."""

    def __init__(self):
        self.images = 0

    def __call__(self, image):
        self.images += 1
        if min(image.shape[:2]) < 16:
            return []
        scale = 192 / max(image.shape[:2])
        found = []
        for face in discs(image):
            region = regions.landmark_region(face.landmarks)
            if region.size * scale < 192 / 8:
                continue  # As small as BlazeFace does not see them.
            found.append(Detection(0.95 - 0.4 * abs(region.tilt) / 180, region))
        return sorted(found, key=lambda detection: -detection.score)


def discs(image):
    return drawn_videos.Discs(8, any_tilt=True)(np.ascontiguousarray(image))


def find(image):
    """Of discs that are upright, as the Face Landmarker sees them."""
    return [face for face in discs(image) if abs(regions.landmark_tilt(face.landmarks)) < 60]


def picture(*faces, size=(720, 1280)):
    return drawn_videos.picture(discs=faces, size=size)


def places(faces):
    return [regions.landmark_region(face.landmarks) for face in faces]


@pytest.mark.parametrize("turn", [0, 90, 180, 270, 200])
@pytest.mark.parametrize(
    ("radius", "at"), [(20, (90, 600)), (20, (1212, 41)), (60, (400, 333)), (240, (350, 400))]
)
def test_a_face_of_any_size_and_tilt_is_found_anywhere(turn, radius, at):
    x, y = at
    detector = Detector()
    (found,) = search.search_tiles(picture((x, y, radius, turn)), detector, find, 8)
    place = regions.landmark_region(found.landmarks)
    np.testing.assert_allclose(place.center, (x, y), atol=0.35 * radius)
    assert abs(regions.wrap_degrees(place.tilt - turn)) < 12


def test_a_row_of_four_is_found_one_by_one():
    row = [(180 + 300 * k, 350 + 20 * k, 42, 5 * k) for k in range(4)]
    found = places(search.search_tiles(picture(*row), Detector(), find, 8))
    assert sorted(round(place.center[0] / 100) for place in found) == [2, 5, 8, 11]
    assert len(search.search_tiles(picture(*row), Detector(), find, 3)) == 3


@pytest.mark.parametrize(
    ("size", "most"), [((720, 1280), 460), ((4000, 4000), 620), ((256, 256), 60), ((96, 128), 8)]
)
def test_without_a_face_the_number_of_tiles_is_bounded_whatever_the_size(size, most):
    detector = Detector()
    assert search.search_tiles(np.zeros((*size, 3), np.uint8), detector, find, 8) == []
    assert detector.images <= most


def test_the_width_that_is_asked_for_is_three_percent_but_no_less_than_twenty_pixels():
    assert search.min_face_width(np.empty((720, 1280, 3))) == 38
    assert search.min_face_width(np.empty((200, 100, 3))) == 20


def test_of_faces_that_overlap_the_first_remains():
    faces = [
        drawn_videos.Discs.face((0, 1), 20, center) for center in ((50, 50), (55, 48), (120, 50))
    ]
    assert search.distinct_faces(faces) == [faces[0], faces[2]]


def test_overlap_ignores_the_tilt():
    assert regions.overlap(FaceRegion((0, 0), 9, 0), FaceRegion((0, 0), 9, 180)) == 1
