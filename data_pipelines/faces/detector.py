"""Detects faces by BlazeFace, the first of the networks within MediaPipe's Face Landmarker.

Unlike the landmarks, its score tells whether a face is upright.
"""

import pathlib
import zipfile
from typing import NamedTuple

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions

from data_pipelines.common.silenced import silenced_stderr
from data_pipelines.faces.regions import FaceRegion

_MEMBER = "face_detector.tflite"  # Of the bundle, which is a zip.
_SIDE = 128  # Pixels, of its input.
_MIN_SCORE = 0.05  # To be told apart from nothing; the Face Landmarker begins at 0.5.
_SIZE = 1.15  # Size of the landmarks, in widths of the box.


class Detection(NamedTuple):
    """A face that was detected.

    Attributes:
      score: 0 to 1.
      region: Where it lies; its tilt is that of the eyes.
    """

    score: float
    region: FaceRegion


class FaceDetector:
    """The loaded detection model; must not be shared between threads.

    Args:
      bundle: File of the Face Landmarker.

    Raises:
      KeyError, zipfile.BadZipFile: The bundle has no such model.
    """

    def __init__(self, bundle: pathlib.Path):
        with zipfile.ZipFile(bundle) as archive:
            model = archive.read(_MEMBER)
        options = vision.FaceDetectorOptions(
            base_options=BaseOptions(model_asset_buffer=model), min_detection_confidence=_MIN_SCORE
        )
        with silenced_stderr():  # Its C++ code prints some lines here, and one at its first image.
            self._model = vision.FaceDetector.create_from_options(options)
            self(np.zeros((_SIDE, _SIDE, 3), np.uint8))

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """Detects faces whose width is at least about an eighth of the image's longer side.

        Args:
          image: uint8 [H, W, 3], RGB; it is scaled to 128x128, with its proportions kept.

        Returns:
          The detections, the one with the highest score first.
        """
        data = np.ascontiguousarray(image)
        result = self._model.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=data))
        detections = []
        for found in result.detections:
            box, (right, left) = found.bounding_box, found.keypoints[:2]
            across = (left.x - right.x) * image.shape[1], (left.y - right.y) * image.shape[0]
            center = box.origin_x + box.width / 2 - 0.5, box.origin_y + box.height / 2 - 0.5
            tilt = float(np.degrees(np.arctan2(across[1], across[0])))
            region = FaceRegion(center, _SIZE * max(box.width, 1), tilt)
            detections.append(Detection(float(found.categories[0].score), region))
        return sorted(detections, key=lambda detection: -detection.score)

    def close(self) -> None:
        """Frees the model."""
        with silenced_stderr():
            self._model.close()
