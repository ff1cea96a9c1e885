"""One video of `generate` in the making: its sound on the one side, its file on the other."""

import fractions
import math
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from data_pipelines.common.errors import UserError
from data_pipelines.media.sound import Resampler, SoundFile
from data_pipelines.media.writer import VideoFile
from s2f_jax.provenance.c2pa import Signer
from s2f_jax.render.frame_rate import Retimed
from s2f_jax.render.jobs import JobSpec

if TYPE_CHECKING:
    from s2f_jax.provenance.marks import ProvenanceRecord

_NOTHING = np.zeros(0, np.float32)


class VideoJob:
    """Gives its sound in pieces, and is given the frames of it; its file appears with the last.

    error: what ended it before that; nothing of it is left then. done: whether the file is there.

    Raises:
      UserError: the sound cannot be read, or the file cannot be written.
    """

    def __init__(
        self,
        job: JobSpec,
        mark: "ProvenanceRecord",
        rate: int,
        own_fps: fractions.Fraction,
        fps: fractions.Fraction,
        size: tuple[int, int],
        draw: Callable[[np.ndarray], np.ndarray] | None = None,
        badge: bool = False,
        signer: Signer | None = None,
    ):
        """mark: what made it; rate and own_fps: the model's; fps and size (height, width): the
        video's; draw: a frame of the model to one of the video; badge: to be shown on it; signer:
        who signs the mark."""
        self.job, self.done = job, False
        self.error: UserError | None = None
        self._fps, self._size = fps, size
        self._mark, self._badge, self._signer = mark, badge, signer
        self._draw, self._retimed = draw, Retimed(own_fps, fps)
        self._sound = SoundFile(job.audio)
        try:
            self._video = VideoFile(
                job.output, *size, fps, self._sound.rate, mark.metadata, self._finish
            )
        except UserError:
            self._sound.close()
            raise
        self._parts, self._ended = self._sound.parts(), False
        self._resample, self._waiting = Resampler(self._sound.rate, rate), _NOTHING

    @property
    def open(self) -> bool:
        """Whether it waits for more frames."""
        return not (self.done or self.error)

    @property
    def frames(self) -> int:
        """So many are written."""
        return self._video.frames

    def told(self) -> str:
        """What was made."""
        seconds, (height, width) = float(self.frames / self._fps), self._size
        return f"{self.job.output}: {self.frames} frames, {seconds:.2f} s, {width}x{height}"

    def hear(self, samples: int) -> np.ndarray:
        """The next samples at the model's rate, mono float32; fewer at the end, none after it."""
        if self.error:
            return _NOTHING
        try:
            while len(self._waiting) < samples and not self._ended:
                part = next(self._parts, None)
                self._ended = part is None
                part = _NOTHING if part is None else part
                self._video.sound(part)
                more = self._resample(part, last=self._ended)
                self._waiting = np.concatenate([self._waiting, more])
        except UserError as error:
            self._fail(error)
            return _NOTHING
        piece, self._waiting = self._waiting[:samples], self._waiting[samples:]
        return piece

    def see(self, frames: np.ndarray) -> None:
        """The model's next frames, uint8 [T, H, W, 3]; those after the end of the sound are left."""
        seconds = fractions.Fraction(self._sound.heard, self._sound.rate)
        try:
            for frame in frames:
                copies = self._retimed.copies(seconds)
                picture = self._picture(frame) if copies else frame
                for _ in range(copies):
                    self._video.show(picture)
                if self._ended and self.frames == math.ceil(seconds * self._fps):
                    self._video.close()
                    self._sound.close()
                    self.done = True
                    return
        except UserError as error:
            self._fail(error)

    def _picture(self, frame: np.ndarray) -> np.ndarray:
        picture = self._draw(frame) if self._draw else frame
        return self._mark.add_badge(picture[None])[0] if self._badge else picture

    def _finish(self, video: pathlib.Path) -> None:
        """Before it appears."""
        target = self.job.output
        if self._signer is not None:
            self._mark.sign(video, self._signer, os.path.basename(target))
        self._mark.write_sidecar(video, self.frames, float(self._fps), target)

    def _fail(self, error: UserError) -> None:
        self.error = error
        self.discard()

    def discard(self) -> None:
        """Leaves nothing of what is not done."""
        if not self.done:
            self._video.discard()
            self._sound.close()
