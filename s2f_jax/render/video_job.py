"""One video of `generate` while it is made: reads its audio, and writes the frames for it."""

import fractions
import math
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from data_pipelines.common.errors import UserError
from data_pipelines.media.sound import Resampler
from data_pipelines.media.sound_file import SoundFile
from data_pipelines.media.writer import VideoFile
from s2f_jax.provenance.c2pa import Signer
from s2f_jax.render.audio_level import LevelMeter, model_gain
from s2f_jax.render.frame_rate import FrameRateConverter
from s2f_jax.render.jobs import JobSpec

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator
    from s2f_jax.provenance.marks import ProvenanceRecord

_NO_SAMPLES = np.zeros(0, np.float32)


class VideoJob:
    """Hands out its audio in pieces and takes the frames for it; the file appears with the last one.

    Attributes:
      spec: Specification of the video.
      done: Whether the file was written.
      error: Why it failed, if it did; nothing of the file is left then.

    Args:
      spec: Specification of the video.
      mark: Provenance to write into the video.
      animator: The model.
      fps: The video's frames/s.
      size: The video's height and width, pixels.
      compose: Maps a frame of the model to a frame of the video, both uint8 [H, W, 3].
      signer: Who signs the video, if anyone.

    Raises:
      UserError: The audio cannot be read, or the file cannot be written.
    """

    def __init__(
        self,
        spec: JobSpec,
        mark: "ProvenanceRecord",
        animator: "Animator",
        fps: fractions.Fraction,
        size: tuple[int, int],
        compose: Callable[[np.ndarray], np.ndarray],
        signer: Signer | None,
    ):
        self.spec, self.done = spec, False
        self.error: UserError | None = None
        self._fps, self._size = fps, size
        self._mark, self._signer = mark, signer
        self._compose, self._converter = compose, FrameRateConverter(animator.exact_fps, fps)
        self._gain = np.float32(model_gain(spec.audio))
        self._audio = SoundFile(spec.audio)
        try:
            self._video = VideoFile(
                spec.output, *size, fps, self._audio.rate, mark.metadata, self._add_provenance
            )
        except UserError:
            self._audio.close()
            raise
        self._level, self._audio_ended = LevelMeter(self._audio.rate), False
        self._chunks = self._level.watch(self._audio.chunks())
        self._resample, self._pending = Resampler(self._audio.rate, animator.rate), _NO_SAMPLES

    @property
    def active(self) -> bool:
        """Whether it takes more frames."""
        return not (self.done or self.error)

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._video.frame_count

    def summary(self) -> str:
        """Describes the video.

        Returns:
          A line with the file, its length and its size.
        """
        seconds, (height, width) = float(self.frames / self._fps), self._size
        return f"{self.spec.output}: {self.frames} frames, {seconds:.2f} s, {width}x{height}"

    def warnings(self) -> list[str]:
        """Describes what is wrong with the sound read so far.

        Returns:
          Sentences; none for sound that is whole and loud enough.
        """
        name = self.spec.audio
        return self._audio.warnings() + [
            f"{name}: {w}" for w in self._level.warnings(float(self._gain))
        ]

    def read_audio(self, samples: int) -> np.ndarray:
        """Reads the next piece of the audio, at the model's rate.

        Args:
          samples: Length of the audio, in samples.

        Returns:
          Mono float32 [n] in [-1, 1], n <= samples: shorter at the end, empty after it or after an
          error.
        """
        if self.error:
            return _NO_SAMPLES
        try:
            while len(self._pending) < samples and not self._audio_ended:
                chunk = next(self._chunks, None)
                self._audio_ended = chunk is None
                chunk = _NO_SAMPLES if chunk is None else chunk
                self._video.write_audio(chunk)
                resampled = self._resample(chunk, last=self._audio_ended)
                resampled = resampled if self._gain == 1 else np.clip(self._gain * resampled, -1, 1)
                self._pending = np.concatenate([self._pending, resampled])
        except UserError as error:
            self._fail(error)
            return _NO_SAMPLES
        piece, self._pending = self._pending[:samples], self._pending[samples:]
        return piece

    def write_frames(self, frames: np.ndarray) -> None:
        """Writes the model's next frames; those after the end of the audio are dropped.

        Args:
          frames: uint8 [T, h, w, 3].
        """
        seconds = fractions.Fraction(self._audio.samples_decoded, self._audio.rate)
        try:
            for frame in frames:
                repeats = self._converter.repeats(seconds)
                picture = self._compose(frame) if repeats else frame
                for _ in range(repeats):
                    self._video.write_frame(picture)
                if self._audio_ended and self.frames == math.ceil(seconds * self._fps):
                    self._video.close()
                    self._audio.close()
                    self.done = True
                    return
        except UserError as error:
            self._fail(error)

    def _add_provenance(self, video: pathlib.Path) -> None:
        # Called with the complete file before it appears under its name.
        target = self.spec.output
        if self._signer is not None:
            self._mark.sign(video, self._signer, os.path.basename(target))
        self._mark.write_sidecar(video, self.frames, float(self._fps), target)

    def _fail(self, error: UserError) -> None:
        self.error = error
        self.discard()

    def discard(self) -> None:
        """Removes what was written, unless the video is done."""
        if not self.done:
            self._video.discard()
            self._audio.close()
