"""Finds faces and their 68 landmarks by MediaPipe's Face Landmarker.

It is used image by image. Its video mode smooths the points over time (the mouth then lags by half
a frame) and makes a clip's landmarks depend on the clip before it, for a gain of 15 % in speed.
"""

import contextlib
import functools
import pathlib

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions

from data_pipelines.common import download
from data_pipelines.common.errors import UserError
from data_pipelines.common.silenced import silenced_stderr
from data_pipelines.faces import detector, regions, search, upright
from data_pipelines.faces.regions import DetectedFace

MODEL = download.ModelFile(
    "face_landmarker.task",
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    "face_landmarker.task",
    "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    "S2F_FACE_LANDMARKER",
)
_MAX_FACES = 8  # In a portrait.
# Of a face that is followed by looks at the whole image: cosine of its tilt (80 degrees), and its
# size's share of the longer side. Where it is smaller, the detector's rough eyes tilt the landmarks
# by up to 17 degrees; a look at its surroundings, by 1.
_MIN_ACROSS, _MIN_SHARE = 0.17, 0.15
_MAX_STEP = 0.4  # Of its size, from one frame to the next.
_FOLLOW_MARGIN = 2.5  # Width of the crop in which it is looked for, in sizes of the face.


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
        self._path = path = model_path()
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            num_faces=max_faces,
            output_face_blendshapes=True,
        )
        self._max_faces = max_faces
        try:
            # Its C++ code prints five lines of warnings.
            with silenced_stderr():
                self._model = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as e:
            raise UserError(f"{path} is no face landmark model ({e}); fetch {MODEL.url}.") from e

    def __call__(self, image: np.ndarray) -> list[DetectedFace]:
        """Finds the faces in an image by one look at the whole of it.

        Faces narrower than about a tenth of the image's longer side are missed, and those that are
        tilted by more than 90 degrees are missed or given landmarks that are the wrong way up.

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
        return _largest_first(faces)

    def search(self, image: np.ndarray) -> list[DetectedFace]:
        """Finds the faces in an image at any size and tilt.

        The first look is the whole of the search where it finds faces that are the right way up.
        Otherwise tiles are searched, ever smaller ones, until one shows a face.

        Args:
          image: uint8 [H, W, 3], RGB.

        Returns:
          Faces in the image, the largest first.
        """
        first = self(image)

        def verified(min_score: float) -> list[DetectedFace]:
            faces = [
                upright.verify_orientation(image, f, self._detect, self, min_score) for f in first
            ]
            return search.distinct_faces([face for face in faces if face is not None])

        faces = verified(upright.MIN_SCORE)
        if not faces:
            faces = search.search_tiles(image, self._detect, self, self._max_faces)
        # What the detector doubts is a face nevertheless if there is no better one: a drawing, say.
        return _largest_first(faces or verified(0.0))

    def follow(self, image: np.ndarray, last: DetectedFace) -> list[DetectedFace]:
        """Finds the faces in a video's frame, one of which was seen before.

        Where the look at the whole image does not find that one, its surroundings are searched.

        Args:
          image: uint8 [H, W, 3], RGB.
          last: The face in an earlier frame.

        Returns:
          Faces in the image, the largest first.
        """
        faces, size = [], float(np.ptp(last.landmarks, axis=0).max())
        across = last.landmarks[45] - last.landmarks[36]  # From eye to eye.
        upright_enough = across[0] > _MIN_ACROSS * np.hypot(*across)
        if upright_enough and size > _MIN_SHARE * max(image.shape[:2]):
            faces = self(image)
        steps = [np.abs((face.landmarks - last.landmarks).mean(axis=0)).max() for face in faces]
        if min(steps, default=np.inf) < _MAX_STEP * size:
            return faces
        region = regions.landmark_region(last.landmarks)
        faces += upright.find_around(image, region, self, _FOLLOW_MARGIN)
        return _largest_first(search.distinct_faces(faces))

    def close(self) -> None:
        """Frees the model; if that is left to the interpreter's exit, a traceback is printed."""
        self._model.close()
        if "_detect" in self.__dict__:
            self._detect.close()

    @functools.cached_property
    def _detect(self) -> detector.FaceDetector:
        return detector.FaceDetector(self._path)


def _largest_first(faces: list[DetectedFace]) -> list[DetectedFace]:
    return sorted(faces, key=lambda face: -np.prod(np.ptp(face.landmarks, axis=0)))


def find_faces(image: np.ndarray) -> list[np.ndarray]:
    """Finds the faces in one image at any size and tilt, with a model that is loaded for it.

    Args:
      image: uint8 [H, W, 3], RGB.

    Returns:
      The landmarks of each face, float32 [68, 2], the largest first.

    Raises:
      UserError: The model cannot be loaded.
    """
    with contextlib.closing(FaceFinder(max_faces=_MAX_FACES)) as finder:
        return [face.landmarks for face in finder.search(image)]


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
            f"No face was found in the {image.shape[1]}x{image.shape[0]} image: give"
            f" {wanted_portrait(image)}, or --aligned if it is cropped to the face already."
        )
    return faces[0], len(faces)


def wanted_portrait(image: np.ndarray) -> str:
    """Describes a picture in which find_faces finds a face, for a message that it found none.

    Args:
      image: The picture without a face, [H, W, 3].

    Returns:
      Part of a sentence.
    """
    width = search.min_face_width(image)
    return f"a sharp photograph of a face seen from the front, {width} pixels wide or more"
