"""Models that tell faces apart: pictures and where a face's points lie in them, to one vector each."""

import abc
import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from data_pipelines.common import download
from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment

SFACE = download.Model(
    "face_recognition_sface_2021dec.onnx",
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_recognition_sface/"
    "face_recognition_sface_2021dec.onnx",
    "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
    "S2F_FACE_EMBEDDER",
)
# Five points of a face (x, y) in the 112x112 crop that embedders are commonly trained on: the eyes'
# centres, the nose's tip, the corners of the mouth; what the picture has on its left comes first.
_CROP = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
_CROP_SIDE = 112
_BATCH = 25  # Crops at a time, for models that take any number.


class Embedder(abc.ABC):
    """A model that tells faces apart."""

    name: str

    @abc.abstractmethod
    def __call__(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """uint8 [N][H, W, 3] RGB and the face's five points in each [N, 5, 2] -> float32 [N, D]."""

    @staticmethod
    def load(file: str = "", **form: Any) -> "Embedder":
        """An ONNX file, given faces as the fields of OnnxForm say; no file: SFace.

        Raises:
          UserError: it is missing, damaged, or wants something else.
        """
        return OnnxEmbedder(OnnxInputFormat(file, **form)) if file else SFace()


class SFace(Embedder):
    """SFace of OpenCV's model zoo (Apache-2.0), which OpenCV crops and scales for.

    Looked for at S2F_FACE_EMBEDDER, then in the user's cache; else fetched and checked.

    Raises:
      UserError: it is nowhere to be had, or the file is another than the one that was pinned.
    """

    name = "SFace (opencv_zoo, face_recognition_sface_2021dec)"

    def __init__(self):
        path = download.cached_model(*SFACE)
        found = download.file_digest(path, "sha256")
        if found != SFACE.sha256:
            raise UserError(
                f"{path} is damaged or not SFace (sha256 {found} instead of {SFACE.sha256}): put"
                f" {SFACE.url} there, or give another embedder as --config.embedder.file"
            )
        try:
            with _quiet_opencv():
                self._model: Any = cv2.FaceRecognizerSF.create(str(path), "")
        except cv2.error as error:
            raise UserError(
                f"OpenCV {cv2.__version__} cannot load the face embedder {path}"
                f" ({str(error).strip()}): give it a name that ends in .onnx"
            ) from error

    def __call__(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        vectors = []
        for image, five in zip(images, points, strict=True):
            # A row of OpenCV's face detector: a box, the points, a score. Only the points count.
            row = np.array([[0, 0, *image.shape[1::-1], *five.ravel(), 1]], np.float32)
            bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
            crop = self._model.alignCrop(bgr, row)
            vectors.append(np.array(self._model.feature(crop)).ravel())
        return np.stack(vectors)


@dataclasses.dataclass(frozen=True)
class OnnxInputFormat:
    """Which ONNX file is the embedder, and how it wants to be given a face."""

    file: str
    size: int = 112  # Pixels, the side of the square crop.
    channels: str = "RGB"  # Or "BGR".
    # Subtracted from the levels 0 ... 255 of each channel, before they are multiplied by the scale.
    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    scale: tuple[float, ...] = (1 / 127.5, 1 / 127.5, 1 / 127.5)


class OnnxEmbedder(Embedder):
    """Any embedder in an ONNX file: its first input takes crops, its first output is the vector.

    Crops are laid out [N, 3, size, size] or [N, size, size, 3], as the file says; N is free or 1.

    Raises:
      UserError: the file is missing, damaged, or wants something else; onnxruntime is missing.
    """

    def __init__(self, form: OnnxInputFormat):
        self._form, path = form, pathlib.Path(form.file)
        if not path.is_file():
            raise UserError(f"--config.embedder.file={form.file} is not a file: give an ONNX file")
        if form.channels not in ("RGB", "BGR"):
            raise UserError(f"--config.embedder.channels={form.channels}: give RGB or BGR")
        if not len(form.mean) == len(form.scale) == 3:
            raise UserError(
                f"--config.embedder.mean={form.mean} and scale={form.scale}: give three numbers each"
            )
        self._model = _session(path)
        asked = self._model.get_inputs()[0]
        batch, *shape = asked.shape
        wanted = (3, form.size, form.size), (form.size, form.size, 3)
        # What a file leaves open is a name or None.
        fitting = [
            len(shape) == 3
            and all(a == b for a, b in zip(shape, want, strict=True) if isinstance(a, int))
            for want in wanted
        ]
        if not any(fitting) or (isinstance(batch, int) and batch != 1):
            raise UserError(
                f"{path} takes pictures of the shape {asked.shape}, not 3 channels of"
                f" {form.size}x{form.size} pixels, one or any number at a time: set"
                " --config.embedder.size, or give another file"
            )
        self._input, self._channels_first = asked.name, fitting[0]
        self._batch = 1 if batch == 1 else _BATCH
        self.name = f"{path.name} (sha256 {download.file_digest(path, 'sha256')[:12]})"

    def __call__(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        size = self._form.size
        target = (_CROP + 0.5) * size / _CROP_SIDE - 0.5
        crops = np.stack(
            [
                alignment.align(
                    np.ascontiguousarray(image), alignment.similarity(five, target), size, size
                )
                for image, five in zip(images, points, strict=True)
            ]
        )
        if self._form.channels == "BGR":
            crops = crops[..., ::-1]
        mean, scale = (np.array(x, np.float32) for x in (self._form.mean, self._form.scale))
        given = (crops - mean) * scale
        if self._channels_first:
            given = np.moveaxis(given, -1, 1)
        vectors = []
        for first in range(0, len(given), self._batch):
            batch = np.ascontiguousarray(given[first : first + self._batch])
            vector = np.asarray(self._model.run(None, {self._input: batch})[0], np.float32)
            vectors.append(vector.reshape(len(batch), -1))
        return np.concatenate(vectors)


def _session(path: pathlib.Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path} is run by onnxruntime: pip install onnxruntime") from error
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # Of many classes, with nothing but this one in common.
        raise UserError(
            f"{path} cannot be loaded as an ONNX model ({error}): it may be damaged; copy it again"
        ) from error


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """OpenCV warns of a backend that nobody asked it for."""
    logging: Any = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(level)
