import numpy as np
import pytest

from data_pipelines.common.errors import BadClip
from data_pipelines.faces import landmarks, tracking


def face(x, size=20.0, blink=0.5):
    """Landmarks spread over a square whose left edge is at x."""
    grid = np.stack(np.meshgrid(np.linspace(0, size, 17), np.linspace(0, size, 4)), -1)
    return landmarks.DetectedFace((grid.reshape(68, 2) + (x, 30)).astype(np.float32), blink)


def track(found, images=None):
    """Tracks what is found image after image."""
    images = images or [np.full((100, 200, 3), t, np.uint8) for t in range(len(found))]
    return list(tracking.track_face(images, lambda image: found[image[0, 0, 0]]))


def lefts(tracked):
    """The left edge of the face in every frame."""
    return [float(face.landmarks[:, 0].min()) for face in tracked]


def test_the_face_that_is_largest_at_first_is_tracked():
    """Another one is larger from image 1 to 3, and then nearer to where the first began."""
    found = [[face(50), face(100, 15)]]
    found += [[face(110, 25), face(50 + 2 * t)] for t in (1, 2, 3)]
    found += [[face(20, 40), face(58)], [face(45), face(60)]]
    assert lefts(track(found)) == [50, 52, 54, 56, 58, 60]


def test_another_face_for_a_moment_does_not_take_over_the_track():
    found = [[face(50)]] * 10 + [[face(120, 30)]] + [[face(50)]] * 10
    tracked = track(found)
    assert lefts(tracked) == [50] * 21
    assert [t for t, one in enumerate(tracked) if np.isnan(one.blink)] == [10]


def test_landmarks_are_interpolated_over_a_gap():
    found = [[face(2.0 * t)] for t in range(30)]
    found[0] = found[4] = found[5] = []
    tracked = track(found)
    assert lefts(tracked) == [2, *(2 * t for t in range(1, 30))]
    assert [t for t, one in enumerate(tracked) if np.isnan(one.blink)] == [0, 4, 5]
    assert [one.image[0, 0, 0] for one in tracked] == list(range(30))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([[face(50)]] * 9 + [[]] * 2, "no face in 2 of 11 frames"),
        ([[]] * 3, "no face in 3 of 3 frames"),
        ([[face(50)]] * 100 + [[]] * 6, "no face in 6 frames in a row, from frame 100"),
        ([[face(50)]] * 90 + [[face(120)]] * 9, "the face jumps at frame 90"),
        ([[face(50)]] * 90 + [[face(54)]] * 9, "the face jumps at frame 90"),
        ([[face(50 - 2 * t)] for t in range(30)], "the face leaves the picture at frame 28"),
    ],
)
def test_a_lost_face_is_reported_with_its_frame(found, reason):
    """The last: at -6 of 20 pixels, 5 of 17 columns of landmarks are outside; at -4, 4 are."""
    with pytest.raises(BadClip, match=reason):
        track(found)


def test_in_a_gap_a_face_may_move_further():
    assert lefts(track([[face(50)]] * 20 + [[]] + [[face(54)]] * 20))[20:22] == [52, 54]


def test_an_image_that_is_shown_twice_is_searched_once():
    image, searched = np.zeros((100, 200, 3), np.uint8), []

    def detect(image):
        searched.append(image)
        return [face(50)]

    assert len(list(tracking.track_face([image] * 4, detect))) == 4
    assert len(searched) == 1


def test_only_few_frames_of_a_long_video_are_held():
    """When one comes out, at most a window has gone in after it."""
    given, ahead = 0, []

    def images():
        nonlocal given
        for t in range(100):
            given += 1
            yield np.full((90, 90, 3), t, np.uint8)

    def detect(image):
        return [] if image[0, 0, 0] in (40, 41) else [face(50)]

    for t, (one, _) in enumerate(
        tracking.smooth_landmarks(tracking.track_face(images(), detect), 7)
    ):
        assert one.image[0, 0, 0] == t
        ahead.append(given - 1 - t)
    assert len(ahead) == 100 and max(ahead) == 3 + 2  # Half the window, and the gap.


def smoothed(xs):
    tracked = [tracking.TrackedFace(np.empty(0), np.full((68, 2), x, np.float32), 0.0) for x in xs]
    return [points[7, 1] for _, points in tracking.smooth_landmarks(tracked, 7)]


def test_smoothing_averages_movement_and_keeps_a_face_at_rest():
    assert smoothed([1] * 9) == [1] * 9
    impulse = [0, 0, 0, 0, 7, 0, 0, 0, 0]
    np.testing.assert_allclose(smoothed(impulse), [0, 7 / 5, 7 / 6, 1, 1, 1, 7 / 6, 7 / 5, 0])
    np.testing.assert_allclose(smoothed([1, 3]), [2, 2])


class Searching:
    """Finds what is written down for each frame, and notes how it was asked."""

    def __init__(self, looked, searched=()):
        self.looked, self.searched, self.asked = looked, searched, []

    def __call__(self, image):
        self.asked.append("look")
        return self.looked[image[0, 0, 0]]

    def search(self, image):
        self.asked.append("search")
        return self.searched[image[0, 0, 0]]

    def follow(self, image, last):
        self.asked.append(float(last.landmarks[:, 0].min()))
        return self.searched[image[0, 0, 0]]


def ask(detect, frames):
    images = [np.full((100, 200, 3), t, np.uint8) for t in range(frames)]
    return list(tracking.track_face(images, detect))


def test_a_search_begins_a_track_and_the_last_face_leads_it_on():
    faces = [[face(50 + t)] for t in range(30)]
    faces[7] = []
    detect = Searching([[]] * 30, faces)
    assert lefts(ask(detect, 30)) == list(range(50, 80))
    assert detect.asked == ["search", *range(50, 57), 56, *range(58, 79)]


def test_a_clip_without_faces_is_searched_twice():
    detect = Searching([[]] * 9, [[]] * 9)
    with pytest.raises(BadClip, match="no face in 6 frames in a row, from frame 0"):
        ask(detect, 9)
    assert detect.asked == ["search", "look", "look", "look", "look", "search"]


def test_the_finder_is_a_searching_detector():
    assert issubclass(landmarks.FaceFinder, tracking.SearchingDetector)
