"""Visitors' files, held in memory: the picture that is animated, the audio that it speaks."""

import contextlib
import hashlib
from typing import Any, NamedTuple

import cv2
import numpy as np

from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment, landmarks
from data_pipelines.media import images
from data_pipelines.media.sound import fit_length, resample
from data_pipelines.media.sound_file import SoundFile
from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.inference.animator import Animator
from s2f_jax.render.audio_level import LevelMeter
from s2f_jax.render.portrait import Portrait

_MIN_RATE, _MAX_RATE = 8000, 96_000  # Hz that every browser plays.


class Upload(NamedTuple):
    """An uploaded file.

    Attributes:
      name: The file's name, without folders.
      data: Bytes of the file.
    """

    name: str
    data: bytes

    @property
    def origin(self) -> dict[str, str]:
        """Its name and digest, an entry of provenance.marks.ProvenanceRecord.inputs."""
        return {"file": self.name, "sha256": hashlib.sha256(self.data).hexdigest()}


class UploadedFace(NamedTuple):
    """A picture of which a crop is animated.

    Attributes:
      upload: The picture's file.
      still: The crop, uint8 [h, w, 3] in the model's size.
      message: The `face` message to the page.
    """

    upload: Upload
    still: np.ndarray
    message: dict[str, Any]


class UploadedSound(NamedTuple):
    """The audio of a file.

    Attributes:
      upload: The file.
      samples: Mono float32 [S] in [-1, 1].
      rate: Rate of the samples, in Hz.
      playback: The audio resampled for a browser, int16 [P].
      playback_rate: Rate of the playback, in Hz.
      doubts: Sentences about what is missing in it, or too quiet.
    """

    upload: Upload
    samples: np.ndarray
    rate: int
    playback: np.ndarray
    playback_rate: int
    doubts: list[str]


def read_face(upload: Upload, animator: Animator, limits: DemoLimits) -> UploadedFace:
    """Crops the largest face of a picture; a picture of the model's size is taken as a crop.

    Must not run in two threads at once, since the face model is shared.

    Args:
      upload: The picture's file.
      animator: The model.
      limits: The most pixels of a picture.

    Returns:
      The picture and its crop.

    Raises:
      UserError: The upload is not a picture, too large, or shows no face.
    """
    picture = images.decode_image(upload.data, upload.name, limits.megapixels * 1_000_000)
    aligned = picture.shape[:2] == animator.size
    faces = [None] if aligned else landmarks.find_faces(picture)
    if not faces:
        size = "x".join(map(str, animator.size[::-1]))
        raise UserError(
            f"No face was found in {upload.name}: give {landmarks.wanted_portrait(picture)}, or a"
            f" face crop of {size} pixels, which is used as it is."
        )
    portrait = Portrait("This picture", picture, faces[0], len(faces))
    still, transform = portrait.crop(animator)
    height, width = animator.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - 0.5
    if transform is not None:
        corners = alignment.transform_points(cv2.invertAffineTransform(transform), corners)
    message = {
        "type": "face",
        "width": picture.shape[1],
        "height": picture.shape[0],
        "corners": (corners + 0.5).round(2).tolist(),
        "aligned": aligned,
        "doubts": [f"{doubt[0].upper()}{doubt[1:]}." for doubt in portrait.warnings(animator)],
    }
    return UploadedFace(upload, still, message)


def read_sound(upload: Upload, limits: DemoLimits) -> UploadedSound:
    """Decodes an audio file or the audio of a video.

    Args:
      upload: The file.
      limits: The most seconds of audio.

    Returns:
      The audio of the file.

    Raises:
      UserError: The upload has no audio, cannot be decoded, or is too long.
    """
    parts: list[np.ndarray] = []
    with contextlib.closing(SoundFile(upload.name, upload.data)) as file:
        level = LevelMeter(file.rate)
        for part in level.watch(file.chunks()):
            parts.append(part)
            if file.samples_decoded > limits.sound_seconds * file.rate:
                raise UserError(
                    f"The audio of {upload.name} is longer than {limits.sound_seconds} s: choose a"
                    " shorter file."
                )
        doubts = file.losses.describe() + level.warnings()
    samples = np.concatenate(parts)
    return UploadedSound(
        upload,
        samples,
        file.rate,
        *_for_playback(samples, file.rate),
        doubts=[f"{doubt[0].upper()}{doubt[1:]}." for doubt in doubts],
    )


def _for_playback(samples: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    new_rate = min(max(rate, _MIN_RATE), _MAX_RATE)
    if new_rate != rate:
        # Never longer than the video: the page waits for the frames of all that it plays.
        length = max(1, len(samples) * new_rate // rate)
        samples = fit_length(resample(samples, rate, new_rate), length)
    return np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2"), new_rate
