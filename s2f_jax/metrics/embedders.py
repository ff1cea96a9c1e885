"""Face embedders: models that map an image, and the face's five points in it, to a vector."""

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

SFACE = download.ModelFile(
    "face_recognition_sface_2021dec.onnx",
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_recognition_sface/"
    "face_recognition_sface_2021dec.onnx",
    "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
    "S2F_FACE_EMBEDDER",
)
# Five points of a face (x, y) in the 112x112 crop that embedders are commonly trained on: centers of
# the eyes, tip of the nose, corners of the mouth; of two, the left one in the image comes first.
_CROP_POINTS = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
_CROP_SIZE = 112
_BATCH = 25  # Crops at a time, for models that take any number.


class Embedder(abc.ABC):
    """Maps faces to vectors that are close for one person and far apart for two.

    Attributes:
      name: Name of the embedder, for the report.
    """

    name: str

    @abc.abstractmethod
    def __call__(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """Embeds faces.

        Args:
          images: N images, uint8 [H, W, 3] RGB.
          points: [N, 5, 2] in pixels: centers of the eyes, tip of the nose, corners of the mouth.

        Returns:
          float32 [N, D], of any length.
        """

    @staticmethod
    def load(file: str = "", **input_format: Any) -> "Embedder":
        """Loads the embedder that a config names.

        Args:
          file: ONNX file; "" for SFace.
          **input_format: The other fields of OnnxInputFormat.

        Returns:
          The embedder.

        Raises:
          UserError: The file is missing, damaged, or takes another input.
        """
        return OnnxEmbedder(OnnxInputFormat(file, **input_format)) if file else SFace()


class SFace(Embedder):
    """SFace of OpenCV's model zoo (Apache-2.0), with OpenCV's own alignment.

    Loaded from the path in S2F_FACE_EMBEDDER or from the user's cache, else downloaded and checked.

    Raises:
      UserError: The model cannot be downloaded or loaded, or the file has another checksum.
    """

    name = "SFace (opencv_zoo, face_recognition_sface_2021dec)"

    def __init__(self):
        path = download.cached_model(SFACE)
        digest = download.file_digest(path, "sha256")
        if digest != SFACE.sha256:
            raise UserError(
                f"{path} is damaged or not SFace (sha256 {digest} instead of {SFACE.sha256}): put"
                f" {SFACE.url} there, or set --config.embedder.file to another embedder"
            )
        try:
            with _quiet_opencv():
                self._model: Any = cv2.FaceRecognizerSF.create(str(path), "")
        except cv2.error as error:
            raise UserError(
                f"OpenCV {cv2.__version__} cannot load the face embedder {path}"
                f" ({str(error).strip()}): rename it so that it ends in .onnx"
            ) from error

    def __call__(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """Embeds faces.

        Args:
          images: N images, uint8 [H, W, 3] RGB.
          points: [N, 5, 2] in pixels, in Embedder's order.

        Returns:
          float32 [N, 128].
        """
        vectors = []
        for image, face_points in zip(images, points, strict=True):
            # A row of OpenCV's face detector: a box, the points, a score. Only the points count.
            row = np.array([[0, 0, *image.shape[1::-1], *face_points.ravel(), 1]], np.float32)
            bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
            crop = self._model.alignCrop(bgr, row)
            vectors.append(np.array(self._model.feature(crop)).ravel())
        return np.stack(vectors)


@dataclasses.dataclass(frozen=True)
class OnnxInputFormat:
    """An ONNX file, and the input that its model takes.

    Attributes:
      file: Path of the ONNX file.
      size: Side of the square crop in pixels.
      channels: "RGB" or "BGR".
      mean: Subtracted from the levels 0 ... 255 of each channel.
      scale: Multiplied with the differences.
    """

    file: str
    size: int = 112
    channels: str = "RGB"
    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    scale: tuple[float, ...] = (1 / 127.5, 1 / 127.5, 1 / 127.5)

    def check(self) -> None:
        """Checks the fields.

        Raises:
          UserError: One is out of its range, or the file is missing.
        """
        if not pathlib.Path(self.file).is_file():
            raise UserError(f"--config.embedder.file={self.file} is not a file: give an ONNX file")
        if self.channels not in ("RGB", "BGR"):
            raise UserError(f"--config.embedder.channels={self.channels}: must be RGB or BGR")
        if not len(self.mean) == len(self.scale) == 3:
            raise UserError(
                f"--config.embedder.mean={self.mean} and scale={self.scale}: must be three numbers"
                " each"
            )


class OnnxEmbedder(Embedder):
    """Any embedder in an ONNX file: its first input takes crops, its first output is the vector.

    Crops are laid out [N, 3, size, size] or [N, size, size, 3], as the file says; N is free or 1.

    Args:
      input_format: The file and its input.

    Raises:
      UserError: The file is missing, damaged, or takes another input; onnxruntime is missing.
    """

    def __init__(self, input_format: OnnxInputFormat):
        input_format.check()
        self._format, path = input_format, pathlib.Path(input_format.file)
        self._model = _onnx_session(path)
        model_input, size = self._model.get_inputs()[0], input_format.size
        batch, *shape = model_input.shape
        # What a file leaves open is a name or None.
        fits = [
            len(shape) == 3
            and all(a == b for a, b in zip(shape, layout, strict=True) if isinstance(a, int))
            for layout in ((3, size, size), (size, size, 3))
        ]
        if not any(fits) or (isinstance(batch, int) and batch != 1):
            raise UserError(
                f"{path} takes images of shape {model_input.shape}, not 3 channels of"
                f" {size}x{size} pixels, one or any number at a time: set"
                " --config.embedder.size, or give another file"
            )
        self._input, self._channels_first = model_input.name, fits[0]
        self._batch = 1 if batch == 1 else _BATCH
        self.name = f"{path.name} (sha256 {download.file_digest(path, 'sha256')[:12]})"

    def __call__(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """Embeds faces.

        Args:
          images: N images, uint8 [H, W, 3] RGB.
          points: [N, 5, 2] in pixels, in Embedder's order.

        Returns:
          float32 [N, D], of any length.
        """
        inputs = self._inputs(images, points)
        vectors = []
        for first in range(0, len(inputs), self._batch):
            batch = np.ascontiguousarray(inputs[first : first + self._batch])
            vector = np.asarray(self._model.run(None, {self._input: batch})[0], np.float32)
            vectors.append(vector.reshape(len(batch), -1))
        return np.concatenate(vectors)

    def _inputs(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """Crops the faces, and lays out and scales them as the model takes them."""
        size = self._format.size
        target = (_CROP_POINTS + 0.5) * size / _CROP_SIZE - 0.5
        transforms = [alignment.fit_similarity(source, target) for source in points]
        faces = zip(map(np.ascontiguousarray, images), transforms, strict=True)
        crops = np.stack([alignment.align(*face, size, size) for face in faces])
        if self._format.channels == "BGR":
            crops = crops[..., ::-1]
        mean, scale = (np.array(x, np.float32) for x in (self._format.mean, self._format.scale))
        inputs = (crops - mean) * scale
        return np.moveaxis(inputs, -1, 1) if self._channels_first else inputs


def _onnx_session(path: pathlib.Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path} needs onnxruntime: pip install onnxruntime") from error
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no other base class in common.
        raise UserError(
            f"{path} cannot be loaded as an ONNX model ({error}): it may be damaged; copy it again"
        ) from error


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Silences OpenCV's warning about a backend that is not used."""
    logging: Any = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(level)
