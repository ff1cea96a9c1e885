"""A trained generator in use: a still and sound in, frames out."""

import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment
from data_pipelines.media import images
from data_pipelines.media.sound import read_audio, resample, to_mono_float
from s2f_jax.bundle import bundle
from s2f_jax.inference.session import (
    CHUNK,
    CompiledGenerator,
    GenerationSession,
    Stream,
    checked_samples,
)
from s2f_jax.models import fused_generator, networks
from s2f_jax.models.generator import Generator
from s2f_jax.runs.restore import Trained, restore_generator

Image = np.ndarray | str | os.PathLike  # uint8 [H, W, 3] RGB, or a file.
Sound = np.ndarray | str | os.PathLike  # Mono float32 in [-1, 1] or int16, [S], or a file.


def _pixels(image: Image) -> np.ndarray:
    if isinstance(image, str | os.PathLike):
        return images.read_image(image)
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise UserError(
            f"the image is {pixels.dtype} {list(pixels.shape)}: give uint8 [H, W, 3] RGB"
        )
    return pixels


def _checked_rate(rate: float | None) -> int:
    if rate is None or rate < 1 or rate % 1:
        raise UserError(f"rate={rate} is not a sampling rate: give the sound's rate in Hz")
    return int(rate)


class Animator:
    """The generator of a checkpoint.

    Frames are uint8 RGB of the model's size. The image is uint8 [H, W, 3] RGB or a path; the sound
    mono float32 in [-1, 1] or int16, [S] at any rate, or a path. One video frame per
    rate / fps samples, T = ceil(S * fps / rate): a last part of a frame counts as one.

    Products have jax's default precision, on a GPU TF32, which is plenty for pixels of 8 bits; who
    compares raw frames with another program's calls within `jax.default_matmul_precision("highest")`.
    """

    def __init__(
        self,
        generator: Generator,
        weights: fused_generator.Weights,
        face: Sequence[Sequence[float]] = (),
        origin: epath.Path | None = None,
    ):
        """face: where a portrait's stable points go, as in the field model.face; origin: the
        checkpoint's or the bundle's folder, where the weights are from one."""
        self.generator, self.face, self._origin = generator, face, origin
        self.painter = CompiledGenerator(generator, weights)
        self.rate, self.size = generator.audio_rate, (generator.height, generator.width_px)
        # A frame is a whole number of samples, also where the rates do not divide.
        self.fps = self.rate / generator.stride

    @property
    def origin(self) -> epath.Path:
        """The folder of the checkpoint or the bundle that it was loaded from."""
        assert self._origin is not None, "it was not loaded, but made from weights"
        return self._origin

    @classmethod
    def load(cls, path: epath.PathLike) -> "Animator":
        """From a workdir (its best checkpoint), a checkpoint step's folder, or an exported bundle.

        Raises UserError where there is none, or one that is damaged or of another schema.
        """
        if bundle.is_one(path):
            config, weights = bundle.read_bundle(path)
            generator = networks.generator(config.data, config.model)
            return cls(generator, weights, networks.face(config.model), epath.Path(path))
        return cls.of(restore_generator(path))

    @classmethod
    def of(cls, trained: Trained) -> "Animator":
        """From a checkpoint that is restored."""
        weights = fused_generator.fold(trained.generator, trained.variables)
        face = networks.face(trained.config.model)
        return cls(trained.generator, weights, face, trained.folder)

    def __call__(
        self,
        image: Image,
        audio: Sound,
        rate: int | None = None,
        *,
        seed: int = 0,
        aligned: bool = False,
        noise_std: float | None = None,
        raw: bool = False,
    ) -> np.ndarray:
        """-> uint8 [T, H, W, 3], or with raw float32 in [-1, 1].

        aligned: the image is a crop of the model's size, no face is searched.
        noise_std: of the spontaneous motion; 0 for none, default the model's.
        Raises UserError for an image without a face, a file that cannot be read, empty sound.
        """
        still = self.still(image) if aligned else self.portrait(image)[0]
        sound = self.sound(audio, rate)
        chunks = self.frames(still[None], [sound[None]], (seed,), noise_std, raw)
        return np.concatenate(list(chunks), axis=1)[0]

    def stream(
        self, image: Image, rate: int | None = None, *, aligned: bool = False, seed: int = 0
    ) -> Stream:
        """One still under sound that comes in pieces, at `rate` Hz (default: the model's).

        Raises UserError as the call does.
        """
        still = self.still(image) if aligned else self.portrait(image)[0]
        rate = _checked_rate(self.rate if rate is None else rate)
        drawing = GenerationSession(self.painter, still[None], (seed,), sizes=(CHUNK, 1))
        drawing.warm_up()
        return Stream(drawing, rate)

    def portrait(self, image: Image) -> tuple[np.ndarray, int]:
        """Any portrait -> its largest face as the model takes it, uint8 [H, W, 3], and how many
        there are."""
        from data_pipelines.faces.landmarks import find_largest_face  # MediaPipe takes a second.

        pixels = _pixels(image)
        landmarks, count = find_largest_face(pixels)
        return alignment.align(pixels, self.placement(landmarks), *self.size), count

    def placement(self, landmarks: np.ndarray) -> np.ndarray:
        """A face's landmarks [68, 2] in a picture -> the similarity [2, 3] that takes the picture
        to the crop that the model takes."""
        return alignment.face_transform(landmarks, *self.size, self.face)

    def still(self, image: Image) -> np.ndarray:
        """A crop of the model's size -> the still as the model takes it, uint8 [H, W, 3]."""
        pixels, (height, width) = _pixels(image), self.size
        if pixels.shape[:2] != self.size:
            raise UserError(
                f"the image is {pixels.shape[1]}x{pixels.shape[0]} pixels and an aligned crop of"
                f" this model is {width}x{height}: leave --aligned out to have the face found"
            )
        return pixels

    def sound(self, audio: Sound, rate: int | None = None) -> np.ndarray:
        """Any sound -> float32 [S] in [-1, 1] at the model's rate."""
        if isinstance(audio, str | os.PathLike):
            return read_audio(audio, self.rate)
        rate = _checked_rate(rate)
        samples = checked_samples(np.asarray(audio))
        if not samples.size:
            raise UserError("the sound is empty (0 samples): give at least one sample")
        return resample(samples, rate, self.rate)

    def generate_clips(
        self, stills: np.ndarray, audios: Sequence[np.ndarray], seed: int | Sequence[int] = 0
    ) -> list[np.ndarray]:
        """stills uint8 [B, H, W, 3], audios int16 [S_i] at the model's rate, one seed or B -> B of
        uint8 [T_i, H, W, 3], computed side by side."""
        sounds = [to_mono_float(audio) for audio in audios]
        lengths = [-(-len(sound) // self.generator.stride) for sound in sounds]
        padded = np.zeros((len(sounds), max(map(len, sounds))), np.float32)
        for row, sound in zip(padded, sounds, strict=True):
            row[: len(sound)] = sound
        seeds = (seed,) * len(stills) if isinstance(seed, int) else seed
        frames = np.concatenate(list(self.frames(stills, [padded], seeds)), axis=1)
        return [clip[:length] for clip, length in zip(frames, lengths, strict=True)]

    def frames(
        self,
        stills: np.ndarray,
        sounds: Iterable[np.ndarray],
        seeds: Sequence[int],
        noise_std: float | None = None,
        raw: bool = False,
    ) -> Iterator[np.ndarray]:
        """stills uint8 [B, H, W, 3], pieces of their sounds at the model's rate float32 [B, n], a
        seed each -> pieces of their frames [B, k, H, W, 3]: an hour takes no more memory than a
        second."""
        drawing = GenerationSession(self.painter, stills, seeds, noise_std, raw)
        for sound in sounds:
            yield drawing.push(sound)
        yield drawing.flush()
