"""Up from down, with stand-ins for both models whose answers are written down."""

import numpy as np
import pytest

from data_pipelines.faces import regions, upright
from data_pipelines.faces.detector import Detection
from data_pipelines.faces.regions import DetectedFace, FaceRegion
from tests import drawn_videos

IMAGE = drawn_videos.picture(discs=((200, 150, 60, 0),), size=(300, 400))
SIDE = 192  # Of the detector's crops, in which the face's size is a half or a third.


def face(degrees=0.0, at=(200, 150)):
    down = -np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return drawn_videos.Discs.face(down, 60, at)


def region_in_crop(tilt):
    return FaceRegion(((SIDE - 1) / 2, (SIDE - 1) / 2), SIDE / 2, tilt)


class Scores:
    """Detects a face in every crop: upright after some quarter turns, with the given scores."""

    def __init__(self, *scores, tilt=0.0):
        self.scores, self.tilt, self.crops = scores, tilt, 0

    def __call__(self, crop):
        quarter = (0, 0, 1, 2, 3, 0, 1, 2, 3)[self.crops % 9]  # At once, then close, then wide.
        self.crops += 1
        return [Detection(self.scores[quarter], region_in_crop(self.tilt))]


def never(crop):
    raise AssertionError("looked without need")


def finds(tilt):
    """Finds a face of that tilt in the middle of the crop."""
    found = face(tilt).landmarks - (200, 150)
    return lambda crop: [DetectedFace((2 * found + 255.5).astype(np.float32), 0.0)]


def tilt_of(found):
    return regions.wrap_degrees(
        regions.landmark_tilt(found.landmarks) - regions.landmark_tilt(face().landmarks)
    )


def test_a_sure_face_costs_one_look_of_the_detector():
    detect, found = Scores(0.9, 0.9, 0.9, 0.9), face()
    assert upright.verify_orientation(IMAGE, found, detect, never) is found
    assert detect.crops == 1


def test_an_unsure_face_stays_unless_another_turn_is_clearly_better():
    for other in (0.5, 0.7, 0.74):
        found = face()
        assert (
            upright.verify_orientation(IMAGE, found, Scores(0.7, 0.5, other, 0.5), never) is found
        )


@pytest.mark.parametrize(
    ("scores", "turn"), [((0.6, 0.5, 0.9, 0.5), 180), ((0.6, 0.9, 0.5, 0.5), 90)]
)
def test_a_face_is_turned_to_where_the_detector_is_surest(scores, turn):
    looked = []

    def look(crop):
        looked.append(crop)
        return finds(0)(crop)

    answers = iter([Scores(*scores)] * 9 + [Scores(0.9)] * 9)
    found = upright.verify_orientation(IMAGE, face(), lambda crop: next(answers)(crop), look)
    assert found is not None and len(looked) == 1
    assert tilt_of(found) == pytest.approx(regions.wrap_degrees(turn), abs=3)


def test_no_face_remains_where_the_turned_crop_has_none_or_the_detector_sees_none():
    assert (
        upright.verify_orientation(IMAGE, face(), Scores(0.6, 0.5, 0.9, 0.5), lambda crop: [])
        is None
    )
    assert upright.verify_orientation(IMAGE, face(), Scores(0.3, 0.3, 0.3, 0.3), never) is None


def test_an_upright_face_is_not_lost_where_the_closer_look_finds_nothing():
    found = face()
    scores = Scores(0.9, 0.5, 0.5, 0.5, tilt=20.0)
    assert upright.verify_orientation(IMAGE, found, scores, lambda crop: []) is found


def test_landmarks_that_the_eyes_contradict_are_replaced_only_by_truly_other_ones():
    found = face()
    scores = Scores(0.9, 0.5, 0.5, 0.5, tilt=20.0)
    assert (
        upright.verify_orientation(IMAGE, found, scores, finds(-19)) is found
    )  # In a crop turned by 20.
    answers = iter([scores] * 9 + [Scores(0.9)])
    turned = upright.verify_orientation(IMAGE, found, lambda crop: next(answers)(crop), finds(0))
    assert tilt_of(turned) == pytest.approx(20, abs=3)


def test_a_close_look_takes_the_face_in_the_middle():
    far = DetectedFace(np.full((68, 2), 20.0, np.float32) + face().landmarks / 9, 0.0)
    region = regions.landmark_region(face().landmarks)
    found = upright.find_in_region(IMAGE, region, lambda crop: [far, *finds(0)(crop)])
    np.testing.assert_allclose(
        regions.landmark_region(found.landmarks).center, region.center, atol=4
    )
    assert upright.find_in_region(IMAGE, region, lambda crop: [far]) is None
