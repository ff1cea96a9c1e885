"""Videos with sound, encoded as they are made: H.264 and AAC in an mp4."""

import contextlib
import fractions
import os
import pathlib
from collections.abc import Callable
from typing import Any

import av
import av.container
import av.error
import numpy as np

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.media.sound import Resampler, fit_length, resample, to_mono_float

# Rates that AAC knows; sound at any other rate (25 and 50 kHz) is written at 48 kHz.
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_BT601 = 6  # SMPTE 170M, in the numbering of H.273: what RGB is converted with below.
# Beyond it x264's usual look-ahead of 40 pictures takes a gigabyte, and minutes for seconds.
_MUCH = 1920 * 1200  # Pixels.
MAX_SIDE = 8192  # Pixels a side, H.264's own limit.

# However seldom pictures come, sound stands beside its picture; a player that reads from a server
# must have the index first.
_IN_ORDER = {"max_interleave_delta": "0"}
_FILE = _IN_ORDER | {"movflags": "faststart"}  # For which FFmpeg opens the file once more.
# As it grows: each picture is a fragment and goes out at once, with the sound that there is by
# then. The header waits for the first, since only then the encoder's delay is known.
_GROWING = {
    "movflags": "frag_keyframe+empty_moov+delay_moov+default_base_moof",
    "max_interleave_delta": "1",
    "flush_packets": "1",
}


class VideoWriter:
    """Pictures and sound, in portions of any size, to an mp4.

    An odd height or width grows by one, repeating its last line, since 4:2:0 has no odd sizes.

    Raises:
      OSError: the file cannot be written, now or later.
    """

    def __init__(
        self,
        file: Any,
        height: int,
        width: int,
        fps: fractions.Fraction,
        sound_rate: int = 0,
        metadata: dict[str, str] | None = None,
        growing: bool = False,
    ):
        """file: a path, or an object with `write`, and with `seek` unless growing; sound_rate: Hz, or
        0 for no sound; metadata: tags of the container, by the names that mp4 has; growing: can be
        played, from a pipe too, while it is written."""
        self._shape, self._fps, self._rate = (height, width, 3), fps, sound_rate
        self._odd = height % 2, width % 2
        options = _GROWING if growing else _FILE if isinstance(file, str) else _IN_ORDER
        self._container = av.open(file, "w", format="mp4", options=dict(options))
        self._container.metadata.update(metadata or {})
        self._picture = _add_video(self._container, self._shape, fps, growing)
        self._sound = None
        if sound_rate:
            self._new_rate = sound_rate if sound_rate in _AAC_RATES else 48000
            self._sound = self._container.add_stream(
                "aac", rate=self._new_rate, layout="mono", bit_rate=96_000
            )
            self._resample = Resampler(sound_rate, self._new_rate)
            self._heard = 0  # Samples at the new rate.
        self.frames = 0

    def show(self, picture: np.ndarray) -> None:
        """The next frame, uint8 [H, W, 3] RGB."""
        if picture.shape != self._shape or picture.dtype != np.uint8:
            raise ValueError(f"{picture.dtype} {picture.shape} is not uint8 {self._shape}")
        if any(self._odd):
            bottom, right = self._odd
            picture = np.pad(picture, ((0, bottom), (0, right), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self.frames, 1 / self._fps
        self._container.mux(self._picture.encode(frame))
        self.frames += 1

    def sound(self, samples: np.ndarray) -> None:
        """What follows of the sound, mono float32 [S] in [-1, 1] at sound_rate."""
        self._encode(self._resample(samples))

    def close(self) -> None:
        """Ends the file; sound that is shorter than the pictures is padded with silence."""
        self._container.mux(self._picture.encode(None))
        if self._sound is not None:
            rest = self._resample(np.zeros(0, np.float32), last=True)
            missing = round(self.frames * self._new_rate / self._fps) - self._heard
            self._encode(fit_length(rest, max(missing, 0)))
            self._container.mux(self._sound.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Lets go of a file that is not to be used."""
        # What stopped the writing may stop its end too.
        with contextlib.suppress(OSError, av.error.FFmpegError):
            self._container.close()

    def _encode(self, samples: np.ndarray) -> None:
        if self._sound is None or not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = self._new_rate, self._heard
        self._container.mux(self._sound.encode(frame))
        self._heard += len(samples)


class VideoFile:
    """A VideoWriter's file, which appears at `path` whole or not at all: closed in the end, or
    discarded where the block ends by an exception.

    finish: is called with the whole file's place just before it appears.

    Raises:
      UserError: the file cannot be written there, now or later.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        height: int,
        width: int,
        fps: fractions.Fraction,
        sound_rate: int = 0,
        metadata: dict[str, str] | None = None,
        finish: Callable[[pathlib.Path], None] | None = None,
    ):
        if os.path.splitext(path)[1].lower() != ".mp4":
            raise UserError(
                f"The output {path} is not an .mp4 file; give a name that ends in .mp4."
            )
        if max(height, width) > MAX_SIDE:
            raise UserError(
                f"A video of {width}x{height} pixels is larger than H.264 knows, {MAX_SIDE} a side;"
                " make it smaller first."
            )
        self._path, self._part, self._finish = path, files.PartialFile(path), finish
        try:
            with files.explain_write_errors(path):
                self._writer = VideoWriter(
                    str(self._part.path), height, width, fps, sound_rate, metadata
                )
        except BaseException:
            self._part.discard()
            raise

    @property
    def frames(self) -> int:
        """So many are written."""
        return self._writer.frames

    def show(self, picture: np.ndarray) -> None:
        with files.explain_write_errors(self._path):
            self._writer.show(picture)

    def sound(self, samples: np.ndarray) -> None:
        with files.explain_write_errors(self._path):
            self._writer.sound(samples)

    def close(self) -> None:
        try:
            with files.explain_write_errors(self._path):
                self._writer.close()
            if self._finish is not None:
                self._finish(self._part.path)
            self._part.appear()
        finally:
            self._part.discard()

    def discard(self) -> None:
        self._writer.abandon()
        self._part.discard()

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def write_video(
    path: str | os.PathLike,
    frames: np.ndarray,
    fps: float,
    audio: np.ndarray | None = None,
    audio_rate: int = 0,
    metadata: dict[str, str] | None = None,
) -> None:
    """Frames uint8 [T, H, W, 3] and mono sound -> an .mp4 of exactly T frames.

    The sound is padded or cut to T / fps seconds. metadata: tags, as VideoWriter has them. The file appears whole or not at all.

    Raises:
      UserError: the file cannot be written there.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or not len(frames) or frames.dtype != np.uint8:
        raise ValueError(f"frames {frames.dtype} {frames.shape} are not uint8 [T >= 1, H, W, 3]")
    rate = fractions.Fraction(fps).limit_denominator(65535)
    sound_rate = 0
    if audio is not None:
        sound_rate = audio_rate if audio_rate in _AAC_RATES else 48000
        audio = resample(to_mono_float(audio), audio_rate, sound_rate)
        audio = fit_length(audio, round(len(frames) * sound_rate / rate))
    _, height, width, _ = frames.shape
    with VideoFile(path, height, width, rate, sound_rate, metadata) as video:
        if audio is not None:
            video.sound(audio)
        for picture in frames:
            video.show(picture)


def _add_video(
    container: av.container.OutputContainer,
    shape: tuple[int, ...],
    rate: fractions.Fraction,
    growing: bool,
) -> av.VideoStream:
    """An H.264 stream for frames [H, W, 3] that every player shows in the right colours."""
    # x264's macroblock tree reads memory that nobody has set: the same pictures would not always be
    # the same bytes.
    options = {"crf": "17", "x264-params": "mbtree=0"}
    if growing:
        options |= {"tune": "zerolatency", "g": "1"}
    elif shape[0] * shape[1] > _MUCH:
        options |= {"preset": "veryfast"}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT601
    context.color_range = 1  # Limited: 16 to 235.
    return stream
