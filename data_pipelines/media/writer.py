"""Writes videos with sound, encoded frame by frame: H.264 and AAC in an mp4."""

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

# Rates that AAC supports; sound at any other rate (25 and 50 kHz) is written at 48 kHz.
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_BT601 = 6  # SMPTE 170M, in the numbering of H.273: what RGB is converted with below.
# Above it x264's default look-ahead of 40 frames takes a gigabyte, and minutes instead of seconds.
_FAST_PRESET_PIXELS = 1920 * 1200
MAX_SIDE = 8192  # Pixels, H.264's own limit.

# Sound stands beside its frame however low the frame rate; a player that reads from a server needs
# the index first.
_INTERLEAVED = {"max_interleave_delta": "0"}
_FILE = _INTERLEAVED | {"movflags": "faststart"}  # For which FFmpeg opens the file once more.
# For playing while it is written: each frame is a fragment and goes out at once, with the sound
# that has come by then. The header waits for the first frame, since only then the encoder's delay
# is known.
_FRAGMENTED = {
    "movflags": "frag_keyframe+empty_moov+delay_moov+default_base_moof",
    "max_interleave_delta": "1",
    "flush_packets": "1",
}


class VideoWriter:
    """Encodes frames and sound, in chunks of any size, into an mp4.

    An odd height or width grows by one, repeating its last line, since 4:2:0 has no odd sizes.

    Args:
      file: A path, or an object with `write`, and with `seek` unless fragmented.
      height: Pixels.
      width: Pixels.
      fps: Frames per second.
      audio_rate: Sampling rate in Hz; 0 for a video without sound.
      metadata: Tags of the container, by the names that mp4 defines.
      fragmented: Whether it can be played, from a pipe too, while it is written.

    Attributes:
      frame_count: Number of frames written.

    Raises:
      OSError: The file cannot be written, now or later.
    """

    def __init__(
        self,
        file: Any,
        height: int,
        width: int,
        fps: fractions.Fraction,
        audio_rate: int = 0,
        metadata: dict[str, str] | None = None,
        fragmented: bool = False,
    ):
        self._shape, self._fps = (height, width, 3), fps
        self._padding = height % 2, width % 2
        options = _FRAGMENTED if fragmented else _FILE if isinstance(file, str) else _INTERLEAVED
        self._container = av.open(file, "w", format="mp4", options=dict(options))
        self._container.metadata.update(metadata or {})
        self._video = _add_video(self._container, self._shape, fps, fragmented)
        self._audio = None
        if audio_rate:
            self._aac_rate = _aac_rate(audio_rate)
            self._audio = self._container.add_stream(
                "aac", rate=self._aac_rate, layout="mono", bit_rate=96_000
            )
            self._resample = Resampler(audio_rate, self._aac_rate)
            self._samples_written = 0  # At the AAC rate.
        self.frame_count = 0

    def write_frame(self, frame: np.ndarray) -> None:
        """Writes the next frame.

        Args:
          frame: uint8 [H, W, 3], RGB.

        Raises:
          ValueError: Another shape or dtype.
        """
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"{frame.dtype} {frame.shape} is not uint8 {self._shape}")
        if any(self._padding):
            bottom, right = self._padding
            frame = np.pad(frame, ((0, bottom), (0, right), (0, 0)), mode="edge")
        encoded = av.VideoFrame.from_ndarray(frame, format="rgb24")
        encoded.pts, encoded.time_base = self.frame_count, 1 / self._fps
        self._container.mux(self._video.encode(encoded))
        self.frame_count += 1

    def write_audio(self, samples: np.ndarray) -> None:
        """Writes the next chunk of sound.

        Args:
          samples: float32 [S], mono, in [-1, 1], at the writer's audio_rate.
        """
        self._encode_audio(self._resample(samples))

    def close(self) -> None:
        """Completes the file; sound that is shorter than the video is padded with silence."""
        self._container.mux(self._video.encode(None))
        if self._audio is not None:
            rest = self._resample(np.zeros(0, np.float32), last=True)
            total = round(self.frame_count * self._aac_rate / self._fps)
            self._encode_audio(fit_length(rest, max(total - self._samples_written, 0)))
            self._container.mux(self._audio.encode(None))
        self._container.close()

    def abort(self) -> None:
        """Closes a file that is not to be used."""
        # What stopped the writing may stop the closing too.
        with contextlib.suppress(OSError, av.error.FFmpegError):
            self._container.close()

    def _encode_audio(self, samples: np.ndarray) -> None:
        if self._audio is None or not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = self._aac_rate, self._samples_written
        self._container.mux(self._audio.encode(frame))
        self._samples_written += len(samples)


class VideoFile:
    """A VideoWriter's file that appears at its path whole or not at all.

    It is a context manager: closed at the end of the block, discarded if the block raises.

    Args:
      path: The file, *.mp4.
      height: Pixels.
      width: Pixels.
      fps: Frames per second.
      audio_rate: Sampling rate in Hz; 0 for a video without sound.
      metadata: Tags of the container, by the names that mp4 defines.
      finish: Called with the path of the complete temporary file just before it appears.

    Raises:
      UserError: The file cannot be written there, now or later.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        height: int,
        width: int,
        fps: fractions.Fraction,
        audio_rate: int = 0,
        metadata: dict[str, str] | None = None,
        finish: Callable[[pathlib.Path], None] | None = None,
    ):
        if os.path.splitext(path)[1].lower() != ".mp4":
            raise UserError(
                f"The output {path} is not an .mp4 file; give a name that ends in .mp4."
            )
        if max(height, width) > MAX_SIDE:
            raise UserError(
                f"A video of {width}x{height} pixels is larger than H.264 supports, {MAX_SIDE} a"
                " side; make it smaller first."
            )
        self._path, self._part, self._finish = path, files.PartialFile(path), finish
        try:
            with files.explain_write_errors(path):
                self._writer = VideoWriter(
                    str(self._part.path), height, width, fps, audio_rate, metadata
                )
        except BaseException:
            self._part.discard()
            raise

    @property
    def frame_count(self) -> int:
        """Number of frames written."""
        return self._writer.frame_count

    def write_frame(self, frame: np.ndarray) -> None:
        """Writes the next frame.

        Args:
          frame: uint8 [H, W, 3], RGB.
        """
        with files.explain_write_errors(self._path):
            self._writer.write_frame(frame)

    def write_audio(self, samples: np.ndarray) -> None:
        """Writes the next chunk of sound.

        Args:
          samples: float32 [S], mono, in [-1, 1], at the file's audio_rate.
        """
        with files.explain_write_errors(self._path):
            self._writer.write_audio(samples)

    def close(self) -> None:
        """Completes the file and lets it appear at its path."""
        try:
            with files.explain_write_errors(self._path):
                self._writer.close()
            if self._finish is not None:
                self._finish(self._part.path)
            self._part.commit()
        finally:
            self._part.discard()

    def discard(self) -> None:
        """Drops the file; nothing appears at its path."""
        self._writer.abort()
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
    """Writes an .mp4 of exactly T frames; it appears whole or not at all.

    Args:
      path: The file, *.mp4.
      frames: uint8 [T, H, W, 3], RGB.
      fps: Frames per second.
      audio: [S] or [S, channels], integer PCM or float, written in mono and padded or cut to T /
        fps seconds; None for a video without sound.
      audio_rate: Sampling rate of `audio`, Hz.
      metadata: Tags of the container, by the names that mp4 defines.

    Raises:
      UserError: The file cannot be written there.
      ValueError: `frames` has another shape or dtype.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or not len(frames) or frames.dtype != np.uint8:
        raise ValueError(f"frames {frames.dtype} {frames.shape} are not uint8 [T >= 1, H, W, 3]")
    rate = fractions.Fraction(fps).limit_denominator(65535)
    aac_rate = 0
    if audio is not None:
        aac_rate = _aac_rate(audio_rate)
        audio = resample(to_mono_float(audio), audio_rate, aac_rate)
        audio = fit_length(audio, round(len(frames) * aac_rate / rate))
    _, height, width, _ = frames.shape
    with VideoFile(path, height, width, rate, aac_rate, metadata) as video:
        if audio is not None:
            video.write_audio(audio)
        for frame in frames:
            video.write_frame(frame)


def _aac_rate(rate: int) -> int:
    return rate if rate in _AAC_RATES else 48000


def _add_video(
    container: av.container.OutputContainer,
    shape: tuple[int, ...],
    rate: fractions.Fraction,
    fragmented: bool,
) -> av.VideoStream:
    """Returns an H.264 stream for frames [H, W, 3] whose colors every player shows right."""
    # x264's macroblock tree reads uninitialized memory: the same frames would not always give the
    # same bytes.
    options = {"crf": "17", "x264-params": "mbtree=0"}
    if fragmented:
        options |= {"tune": "zerolatency", "g": "1"}
    elif shape[0] * shape[1] > _FAST_PRESET_PIXELS:
        options |= {"preset": "veryfast"}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT601
    context.color_range = 1  # Limited: 16 to 235.
    return stream
