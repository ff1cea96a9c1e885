"""Stand-ins for the landmark model, for tests in which only spots in the picture matter."""

import numpy as np

from data_pipelines.faces import alignment
from data_pipelines.faces.landmarks import DetectedFace

# A face about (0, 0), of one pixel from eye to eye.
SHAPE = np.random.default_rng(0).uniform(-1, 1, (68, 2)).astype(np.float32)
SHAPE[36:48] = np.repeat([(-0.5, 0), (0.5, 0)], 6, axis=0)


class Finder:
    """Finds a face at the same position in every frame."""

    def __init__(self, max_faces):
        pass

    def __call__(self, image):
        landmarks = np.full((68, 2), 20.0, np.float32)
        landmarks[list(alignment.STABLE)] = 2 * alignment.canonical_points(32, 24) + 5
        return [DetectedFace(landmarks, blink=0.25)]

    def close(self):
        pass


class SpotFinder:
    """Finds a face for every colour that has a spot: SHAPE about its centre, as wide as it is."""

    images = 0  # Number of searched images.

    def __init__(self, max_faces):
        pass

    def __call__(self, image):
        type(self).images += 1
        found = []
        for channel in np.moveaxis(image > 127, -1, 0):
            if channel.any():
                y, x = np.nonzero(channel)
                width = np.sqrt(4 / np.pi * channel.sum())
                landmarks = SHAPE * width + (x.mean(), y.mean())
                found.append(DetectedFace(landmarks.astype(np.float32), blink=0.0))
        return sorted(found, key=lambda face: -np.prod(np.ptp(face.landmarks, axis=0)))

    def close(self):
        pass
