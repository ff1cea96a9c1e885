"""What stands for the landmark model where the picture does not matter."""

import numpy as np

from data_pipelines import faces


class Finder:
    """A face at the same place in every frame."""

    def __init__(self, max_faces):
        pass

    def __call__(self, image):
        landmarks = np.full((68, 2), 20.0, np.float32)
        landmarks[list(faces.STABLE)] = 2 * faces.canonical(32, 24) + 5
        return [faces.Face(landmarks, blink=0.25)]

    def close(self):
        pass
