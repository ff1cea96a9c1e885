"""`Animator`, the Python interface to a trained generator: a still and audio in, frames out."""

import fractions
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment
from data_pipelines.media import images
from data_pipelines.media.sound import fit_length, resample, to_mono_float
from data_pipelines.media.sound_file import read_audio
from s2f_jax.bundle import bundle, shipped
from s2f_jax.inference.session import (
    CHUNK_FRAMES,
    CompiledGenerator,
    GenerationSession,
    Stream,
    to_mono_samples,
)
from s2f_jax.models import fused_generator, networks
from s2f_jax.models.generator import Generator
from s2f_jax.runs.restore import Trained, restore_generator

Image = np.ndarray | str | os.PathLike  # uint8 [H, W, 3] RGB, or a file.
Audio = np.ndarray | str | os.PathLike  # Mono float32 in [-1, 1] or int16, [S], or a file.


def _read_pixels(image: Image) -> np.ndarray:
    if isinstance(image, str | os.PathLike):
        return images.read_image(image)
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise UserError(
            f"the image is {pixels.dtype} {list(pixels.shape)}: give uint8 [H, W, 3] RGB"
        )
    return pixels


def _check_rate(rate: float | None) -> int:
    if rate is None or rate < 1 or rate % 1:
        raise UserError(f"rate={rate}: must be the audio's sampling rate, a whole number of Hz")
    return int(rate)


class Animator:
    """Animates stills with the generator of a checkpoint.

    Frames are uint8 RGB of the model's size. A clip of S samples at `rate` Hz has
    ceil(S * fps / rate) frames: a last part of a frame counts as one.

    Matrix products have JAX's default precision, TF32 on a GPU, which is enough for 8-bit pixels. To
    compare raw frames with another program's, call within
    `jax.default_matmul_precision("highest")`.

    Attributes:
      generator: The module.
      compiled: The jitted functions and the weights.
      face: The crop's stable points, as in the config field model.face.
      rate: The model's audio rate, Hz.
      size: Height and width of the frames, pixels.
      fps: The model's frames/s.
      exact_fps: The model's frame rate as a fraction.
      notice: What a user should know who animates another picture than the model's own example; may
        be empty.

    Args:
      generator: The module that the weights belong to.
      weights: The result of `fused_generator.fuse_weights`.
      face: Positions of a face's stable points in the crop, as in the config field model.face;
        empty for the default.
      origin: The folder of the checkpoint or bundle that the weights are from, if any.
      notice: As the attribute.
    """

    def __init__(
        self,
        generator: Generator,
        weights: fused_generator.Weights,
        face: Sequence[Sequence[float]] = (),
        origin: epath.Path | None = None,
        notice: str = "",
    ):
        self.generator, self.face, self._origin = generator, face, origin
        self.notice = notice
        self.compiled = CompiledGenerator(generator, weights)
        self.rate, self.size = generator.audio_rate, (generator.height, generator.width_px)
        # A frame is a whole number of samples, also where fps does not divide the rate.
        self.exact_fps = fractions.Fraction(self.rate, generator.stride)
        self.fps = float(self.exact_fps)

    @property
    def origin(self) -> epath.Path:
        """The folder of the checkpoint or bundle that the weights were loaded from."""
        assert self._origin is not None, "this Animator was not loaded from a folder"
        return self._origin

    @classmethod
    def load(cls, path: epath.PathLike) -> "Animator":
        """Loads a trained generator.

        Args:
          path: A workdir (its best checkpoint), a checkpoint step's folder, an exported bundle, or
            the name of a model that comes with this package.

        Returns:
          The animator.

        Raises:
          UserError: There is no checkpoint, it is damaged, or its schema is not supported.
        """
        path = shipped.resolve(path)
        if bundle.is_bundle(path):
            config, weights = bundle.read_bundle(path)
            generator = networks.generator(config.data, config.model)
            face, notice = networks.face(config.model), config.get("notice", "")
            return cls(generator, weights, face, epath.Path(path), notice)
        return cls.from_checkpoint(restore_generator(path))

    @classmethod
    def from_checkpoint(cls, trained: Trained) -> "Animator":
        """Makes an animator from a restored checkpoint.

        Args:
          trained: The checkpoint's config, generator and variables.

        Returns:
          The animator.
        """
        weights = fused_generator.fuse_weights(trained.generator, trained.variables)
        face = networks.face(trained.config.model)
        return cls(trained.generator, weights, face, trained.folder)

    def __call__(
        self,
        image: Image,
        audio: Audio,
        rate: int | None = None,
        *,
        seed: int = 0,
        aligned: bool = False,
        noise_std: float | None = None,
        raw: bool = False,
    ) -> np.ndarray:
        """Animates a still with audio.

        Args:
          image: uint8 [H, W, 3] RGB, or a file.
          audio: Mono float32 in [-1, 1] or int16, [S], or a file.
          rate: Sampling rate in Hz of an audio array; not needed for a file.
          seed: Seed of the spontaneous motion, in [0, 2^32).
          aligned: Whether the image is a crop of the model's size; no face is searched then.
          noise_std: Standard deviation of the spontaneous motion's noise; 0 for none, default the
            model's.
          raw: Whether frames stay float32 in [-1, 1].

        Returns:
          uint8 [T, H, W, 3], or float32 with `raw`, T = ceil(S * fps / rate).

        Raises:
          UserError: No face was found, a file cannot be read, or the audio is empty.
        """
        still = self.prepare_still(image, aligned)
        samples = self.prepare_audio(audio, rate)
        chunks = self.generate_frames(still[None], [samples[None]], (seed,), noise_std, raw)
        return np.concatenate(list(chunks), axis=1)[0]

    def stream(
        self, image: Image, rate: int | None = None, *, aligned: bool = False, seed: int = 0
    ) -> Stream:
        """Starts a clip whose audio arrives in pieces.

        Args:
          image: uint8 [H, W, 3] RGB, or a file.
          rate: Sampling rate in Hz of the audio; default the model's.
          aligned: Whether the image is a crop of the model's size; no face is searched then.
          seed: Seed of the spontaneous motion, in [0, 2^32).

        Returns:
          A stream, compiled already.

        Raises:
          UserError: No face was found, or the image cannot be read.
        """
        still = self.prepare_still(image, aligned)
        rate = _check_rate(self.rate if rate is None else rate)
        return Stream(self.start_session(still, seed), rate)

    def start_session(self, still: np.ndarray, seed: int) -> GenerationSession:
        """Starts a clip whose audio arrives in pieces at the model's rate.

        Args:
          still: uint8 [H, W, 3], a crop of the model's size.
          seed: Seed of the spontaneous motion, in [0, 2^32).

        Returns:
          A session of one clip, compiled already, that generates a frame as soon as it is due.

        Raises:
          UserError: The seed is out of range.
        """
        sizes = CHUNK_FRAMES, 1
        session = GenerationSession(self.compiled, still[None], (seed,), chunk_sizes=sizes)
        session.warm_up()
        return session

    def prepare_still(self, image: Image, aligned: bool) -> np.ndarray:
        """Crops the largest face of a portrait, or checks a crop.

        Args:
          image: uint8 [H, W, 3] RGB, or a file.
          aligned: Whether it is a crop of the model's size; no face is searched then.

        Returns:
          The crop, uint8 [h, w, 3] of the model's size.

        Raises:
          UserError: No face was found, the image cannot be read, or a crop has another size.
        """
        pixels, (height, width) = _read_pixels(image), self.size
        if not aligned:
            from data_pipelines.faces.landmarks import find_largest_face  # Imports MediaPipe: 1 s.

            landmarks, _ = find_largest_face(pixels)
            return alignment.align(pixels, self.crop_transform(landmarks), height, width)
        if pixels.shape[:2] != self.size:
            raise UserError(
                f"the image is {pixels.shape[1]}x{pixels.shape[0]} pixels and an aligned crop of"
                f" this model is {width}x{height}: leave --aligned out to have the face found"
            )
        return pixels

    def crop_transform(self, landmarks: np.ndarray) -> np.ndarray:
        """Computes the similarity transform from a picture to the model's crop.

        Args:
          landmarks: [68, 2], of the face in the picture, pixels.

        Returns:
          [2, 3].
        """
        return alignment.face_transform(landmarks, *self.size, self.face)

    def prepare_audio(self, audio: Audio, rate: int | None = None) -> np.ndarray:
        """Reads or checks audio and resamples it to the model's rate.

        Args:
          audio: Mono float32 in [-1, 1] or int16, [S], or a file.
          rate: Sampling rate in Hz of an array; not needed for a file.

        Returns:
          float32 [n] in [-1, 1].

        Raises:
          UserError: The file cannot be read, or the samples or the rate cannot be audio.
        """
        if isinstance(audio, str | os.PathLike):
            return read_audio(audio, self.rate)
        rate = _check_rate(rate)
        samples = to_mono_samples(np.asarray(audio))
        if not samples.size:
            raise UserError("the audio is empty (0 samples): give at least one sample")
        return resample(samples, rate, self.rate)

    def generate_clips(
        self, stills: np.ndarray, audios: Sequence[np.ndarray], seed: int | Sequence[int] = 0
    ) -> list[np.ndarray]:
        """Animates a batch of stills, each with its own audio.

        Args:
          stills: uint8 [B, H, W, 3], crops of the model's size.
          audios: B of int16 [S_i] at the model's rate.
          seed: One for all clips, or one per clip.

        Returns:
          B of uint8 [T_i, H, W, 3].
        """
        samples = [to_mono_float(audio) for audio in audios]
        lengths = [-(-len(clip) // self.generator.stride) for clip in samples]
        longest = max(map(len, samples))
        padded = np.stack([fit_length(clip, longest) for clip in samples])
        seeds = (seed,) * len(stills) if isinstance(seed, int) else seed
        frames = np.concatenate(list(self.generate_frames(stills, [padded], seeds)), axis=1)
        return [clip[:length] for clip, length in zip(frames, lengths, strict=True)]

    def generate_frames(
        self,
        stills: np.ndarray,
        audios: Iterable[np.ndarray],
        seeds: Sequence[int],
        noise_std: float | None = None,
        raw: bool = False,
    ) -> Iterator[np.ndarray]:
        """Animates a batch of stills piece by piece: memory does not grow with the clips' length.

        Args:
          stills: uint8 [B, H, W, 3], crops of the model's size.
          audios: Consecutive pieces float32 [B, n] in [-1, 1] of the clips' audio, at the model's
            rate.
          seeds: One per clip.
          noise_std: Standard deviation of the noise; None for the model's.
          raw: Whether frames stay float32 in [-1, 1].

        Yields:
          Consecutive pieces [B, k, H, W, 3] of the clips' frames, k >= 0.
        """
        session = GenerationSession(self.compiled, stills, seeds, noise_std, raw)
        for piece in audios:
            yield session.push(piece)
        yield session.flush()
