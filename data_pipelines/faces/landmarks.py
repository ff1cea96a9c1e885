"""Finds faces and their 68 landmarks by MediaPipe's Face Landmarker.

It is used image by image. Its video mode smooths the points over time (the mouth then lags by half
a frame) and makes a clip's landmarks depend on the clip before it, for a gain of 15 % in speed.
"""

import contextlib
import dataclasses
import pathlib
import sys
import types
from collections.abc import Iterator

import numpy as np

from data_pipelines.common import download
from data_pipelines.common.errors import UserError
from data_pipelines.common.silenced import silenced_stderr


@contextlib.contextmanager
def _without_extras() -> Iterator[None]:
    """Imports MediaPipe without pyplot and sounddevice, which are unused here.

    They take most of the second of MediaPipe's own import.
    """
    extras = ("matplotlib", "matplotlib.pyplot", "sounddevice")
    names = [name for name in extras if name not in sys.modules]
    sys.modules.update({name: types.ModuleType(name) for name in names})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


with _without_extras():
    import mediapipe as mp
    from mediapipe.tasks.python import vision
    from mediapipe.tasks.python.core.base_options import BaseOptions

MODEL = download.ModelFile(
    "face_landmarker.task",
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    "face_landmarker.task",
    "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    "S2F_FACE_LANDMARKER",
)
_MAX_FACES = 8  # In a portrait.


# The point of MediaPipe's mesh of 478 that corresponds to each of iBUG's 68.
# fmt: off
MESH_68 = (
    127, 234, 93, 132, 58, 136, 149, 176, 152, 400, 378, 365, 288, 361, 323, 454, 356,  # Jaw.
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # Brows.
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # Nose: bridge, base.
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # Eyes.
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # Lips, outside.
    78, 81, 13, 311, 308, 402, 14, 178,  # Lips, inside.
)
# fmt: on
# MediaPipe's eye corners lie outside iBUG's by this share of an eye's width, and its nose base
# above iBUG's by this share of the nose: the two numbers that take the stable points of 12 GRID
# speakers closest to CANONICAL (from 1.2 to 0.6 px, and the same when any speaker is left out).
_EYE_EXCESS, _NOSE_DEFICIT = 0.06, 0.05


@dataclasses.dataclass(frozen=True)
class DetectedFace:
    """One face found in an image.

    Attributes:
      landmarks: float32 [68, 2], (x, y) in pixels; (0, 0) is the center of the first pixel.
      blink: 0 (open) to 1 (closed), mean of both eyes.
    """

    landmarks: np.ndarray
    blink: float


def model_path() -> pathlib.Path:
    """Locates the landmark model, which is downloaded on first use.

    Returns:
      The model's file.

    Raises:
      UserError: The model is not on this machine and cannot be downloaded.
    """
    return download.cached_model(MODEL)


class FaceFinder:
    """The loaded landmark model; must not be shared between threads.

    Args:
      max_faces: Number of faces that are looked for; each takes time.

    Raises:
      UserError: The model cannot be loaded.
    """

    def __init__(self, max_faces: int):
        path = model_path()
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            num_faces=max_faces,
            output_face_blendshapes=True,
        )
        try:
            # Its C++ code prints five lines of warnings.
            with silenced_stderr():
                self._model = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as e:
            raise UserError(f"{path} is no face landmark model ({e}); fetch {MODEL.url}.") from e

    def __call__(self, image: np.ndarray) -> list[DetectedFace]:
        """Finds the faces in an image.

        Args:
          image: uint8 [H, W, 3], RGB.

        Returns:
          Faces in the image, the largest first.
        """
        data = np.ascontiguousarray(image)
        result = self._model.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=data))
        faces = []
        for mesh, shapes in zip(result.face_landmarks, result.face_blendshapes, strict=True):
            points = np.array([[point.x, point.y] for point in mesh])
            points = mesh_to_ibug(points * (image.shape[1], image.shape[0]) - 0.5)
            blinks = [s.score for s in shapes if (s.category_name or "").startswith("eyeBlink")]
            faces.append(DetectedFace(points, float(np.mean(blinks))))
        return sorted(faces, key=lambda face: -np.prod(np.ptp(face.landmarks, axis=0)))

    def close(self) -> None:
        """Frees the model; if that is left to the interpreter's exit, a traceback is printed."""
        self._model.close()


def find_faces(image: np.ndarray) -> list[np.ndarray]:
    """Finds the faces in one image, with a model that is loaded for it.

    Args:
      image: uint8 [H, W, 3], RGB.

    Returns:
      The landmarks of each face, float32 [68, 2], the largest first.

    Raises:
      UserError: The model cannot be loaded.
    """
    with contextlib.closing(FaceFinder(max_faces=_MAX_FACES)) as finder:
        return [face.landmarks for face in finder(image)]


def mesh_to_ibug(mesh: np.ndarray) -> np.ndarray:
    """Converts MediaPipe's mesh to iBUG's 68 landmarks.

    Args:
      mesh: [478, 2], (x, y).

    Returns:
      float32 [68, 2].
    """
    points = mesh[list(MESH_68)]
    for outer, inner in ((36, 39), (45, 42)):
        excess = _EYE_EXCESS * (points[inner] - points[outer])
        points[outer] += excess
        points[inner] -= excess
    points[33] += _NOSE_DEFICIT * (points[33] - points[27])
    return points.astype(np.float32)


def find_largest_face(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Finds the largest face in a photograph.

    Args:
      image: uint8 [H, W, 3], RGB.

    Returns:
      The landmarks of the largest face, float32 [68, 2], and the number of faces.

    Raises:
      UserError: The image shows no face, or the model cannot be loaded.
    """
    faces = find_faces(image)
    if not faces:
        raise UserError(
            f"No face was found in the {image.shape[1]}x{image.shape[0]} image: give a frontal "
            "photograph, or --aligned if it is cropped to the face already."
        )
    return faces[0], len(faces)
