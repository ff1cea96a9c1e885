"""Files of visitors, in memory alone: the face that will be animated, the sound that it will speak."""

import contextlib
import hashlib
from typing import Any, NamedTuple

import cv2
import numpy as np

from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks
from data_pipelines.media import images
from data_pipelines.media.sound import SoundFile, fit_length, resample
from s2f_jax.apps.live_demo.limits import Limits
from s2f_jax.inference.animator import Animator
from s2f_jax.render.portrait import Portrait

_PLAYED = 8000, 96_000  # Hz: every browser plays these.


class Upload(NamedTuple):
    """A file as it came."""

    name: str
    data: bytes

    @property
    def origin(self) -> dict[str, str]:
        """As provenance.marks.ProvenanceRecord.inputs has it."""
        return {"file": self.name, "sha256": hashlib.sha256(self.data).hexdigest()}


class UploadedFace(NamedTuple):
    """A picture of which a crop is animated."""

    upload: Upload
    still: np.ndarray  # The crop, uint8 [h, w, 3].
    told: dict[str, Any]  # To the page.


class UploadedSound(NamedTuple):
    """What a file speaks."""

    upload: Upload
    samples: np.ndarray  # Mono float32 [S] in [-1, 1].
    rate: int  # Hz.
    played: np.ndarray  # The same for a browser, int16 [P].
    played_rate: int


def face(upload: Upload, animator: Animator, limits: Limits) -> UploadedFace:
    """Finds it, unless the picture has the size of the model's crop: it is one then.

    Not in two threads at once, as the face model has it. Raises UserError for what is no picture,
    too large, or without a face.
    """
    picture = images.decode_image(upload.data, upload.name, limits.pixels)
    aligned = picture.shape[:2] == animator.size
    found = [None] if aligned else landmarks.find_faces(picture)
    if not found:
        size = "x".join(map(str, animator.size[::-1]))
        raise UserError(
            f"No face was found in {upload.name}: give a frontal photograph, or a crop of {size}"
            " pixels, which is taken as it is."
        )
    seen = Portrait("This picture", picture, found[0], len(found))
    still, transform = seen.crop(animator)
    height, width = animator.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - 0.5
    if transform is not None:
        inverse = cv2.invertAffineTransform(transform)
        corners = corners @ inverse[:, :2].T + inverse[:, 2]
    doubts = [f"{doubt[0].upper()}{doubt[1:]}." for doubt in seen.warnings(animator)]
    told = {
        "type": "face",
        "width": picture.shape[1],
        "height": picture.shape[0],
        "corners": (corners + 0.5).round(2).tolist(),
        "aligned": aligned,
        "doubts": doubts,
    }
    return UploadedFace(upload, still, told)


def sound(upload: Upload, limits: Limits) -> UploadedSound:
    """Raises UserError for what has no sound, cannot be decoded, or is too long."""
    parts: list[np.ndarray] = []
    with contextlib.closing(SoundFile(upload.name, upload.data)) as file:
        most = limits.sound_seconds * file.rate
        for part in file.chunks():
            parts.append(part)
            if file.samples_decoded > most:
                raise UserError(
                    f"The sound of {upload.name} is longer than {limits.sound_seconds} s: give a"
                    " shorter part of it."
                )
    samples = np.concatenate(parts)
    return UploadedSound(upload, samples, file.rate, *_played(samples, file.rate))


def _played(samples: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    new_rate = min(max(rate, _PLAYED[0]), _PLAYED[1])
    if new_rate != rate:
        # Never longer: a page waits for the frames of all that it plays.
        length = max(1, len(samples) * new_rate // rate)
        samples = fit_length(resample(samples, rate, new_rate), length)
    return np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2"), new_rate
