import cv2
import numpy as np
import pytest

from data_pipelines.faces import alignment, regions
from data_pipelines.faces.regions import FaceRegion

# Upright, 36 wide and 40 high, around (60, 50).
LANDMARKS = np.zeros((68, 2), np.float32) + (60, 50)
LANDMARKS[:4] = (42, 50), (78, 50), (60, 30), (60, 70)
LANDMARKS[list(alignment.STABLE)] = alignment.CANONICAL / 2 + (38, 25)


def rotated(points, degrees):
    """Clockwise about (0, 0), as y points down."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[cos, sin], [-sin, cos]])


@pytest.mark.parametrize(("angle", "reduced"), [(-180, 180), (540, 180), (190, -170), (-5, -5)])
def test_angles_are_reduced_to_one_turn(angle, reduced):
    assert regions.wrap_degrees(angle) == reduced


@pytest.mark.parametrize("degrees", [-170, -90, -45, 0, 20, 90, 135, 180])
def test_a_region_turns_with_its_face(degrees):
    region = regions.landmark_region(rotated(LANDMARKS, degrees))
    apart = regions.wrap_degrees(region.tilt - regions.landmark_tilt(LANDMARKS) - degrees)
    assert apart == pytest.approx(0, abs=1e-3)
    assert region.size == pytest.approx(40, abs=2)  # The canonical face itself is tilted by 2.
    np.testing.assert_allclose(region.center, rotated(np.array((60, 50)), degrees), atol=1)


@pytest.mark.parametrize("center", [(300, 200), (20, 385), (585, 15)])
@pytest.mark.parametrize(("size", "tilt"), [(30, 0), (150, 77), (400, -160)])
def test_a_crop_shows_a_point_where_its_transform_says(center, size, tilt):
    """Enlarged and shrunk, in the middle and at the edges."""
    region = FaceRegion(center, size, tilt)
    point = np.clip(np.array(center) + (0.2 * size, -0.1 * size), (20, 20), (580, 380))
    y, x = np.mgrid[:400, :600]
    squared = (x - point[0]) ** 2 + (y - point[1]) ** 2
    image = 255 * np.exp(-squared / (2 * (0.04 * size) ** 2))
    crop, transform = regions.crop_region(
        np.rint(np.dstack([image] * 3)).astype(np.uint8), region, 2.0, 192
    )
    assert crop.shape == (192, 192, 3)
    found = np.unravel_index(crop[..., 0].argmax(), (192, 192))[::-1]
    np.testing.assert_allclose(found, alignment.transform_points(transform, point), atol=2)


def test_a_crop_beyond_the_image_repeats_its_border():
    image = np.full((40, 60, 3), 90, np.uint8)
    assert (regions.crop_region(image, FaceRegion((500, -80), 20, 10), 2.0, 64)[0] == 90).all()


def test_a_crop_turns_its_face_upright():
    image = np.zeros((120, 120, 3), np.uint8)
    turned = rotated(LANDMARKS - (60, 50), 150) + (60, 50)
    cv2.circle(image, np.rint(turned[3]).astype(int).tolist(), 3, (255, 255, 255), -1)  # Chin.
    region = regions.landmark_region(turned)
    crop, _ = regions.crop_region(image, region, 2.0, 100)
    y, x = np.unravel_index(crop[..., 0].argmax(), (100, 100))
    assert abs(x - 50) < 6 and y > 65


def test_a_moved_region_is_that_of_the_moved_landmarks():
    cos, sin = 1.5 * np.cos(0.7), 1.5 * np.sin(0.7)
    transform = np.array([[cos, -sin, 20], [sin, cos, -9]])
    moved = regions.moved_region(regions.landmark_region(LANDMARKS), transform)
    expected = regions.landmark_region(alignment.transform_points(transform, LANDMARKS))
    np.testing.assert_allclose(moved.center, expected.center, atol=1e-6)
    assert moved.size == pytest.approx(expected.size)
    assert moved.tilt == pytest.approx(expected.tilt)


def test_overlap_by_hand():
    """Squares of 4 and 2: apart, one within the other, and half of the small one outside."""
    large = FaceRegion((10, 10), 4, 0)
    assert regions.overlap(large, FaceRegion((10, 20), 2, 0)) == 0
    assert regions.overlap(large, FaceRegion((11, 10), 2, 180)) == 4 / 16
    assert regions.overlap(large, FaceRegion((12, 10), 2, 0)) == 2 / 18
