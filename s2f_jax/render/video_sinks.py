"""The video formats of `stream`: raw RGB, Y4M, or an mp4 that plays while it grows."""

import fractions
import os
import struct
from collections.abc import Iterator
from typing import Protocol

import av
import numpy as np

from data_pipelines.media.writer import VideoWriter

FORMATS = ("mp4", "y4m", "rgb24")
_BOX_HEADER = struct.Struct(">I4s")  # Size and type of an mp4's box.


class VideoSink(Protocol):
    """Where frames and audio are written as they come.

    Attributes:
      delay: Seconds that the format holds a frame back, at most.
    """

    delay: float

    @property
    def frames_out(self) -> int:
        """Frames that have left this process."""
        ...

    def write_frame(self, frame: np.ndarray) -> None:
        """Writes the next frame.

        Args:
          frame: uint8 [H, W, 3] RGB.

        Raises:
          OSError: The video cannot be written.
        """

    def write_audio(self, samples: np.ndarray) -> None:
        """Writes the next audio, before the frames of its time.

        Args:
          samples: Mono float32 [S] in [-1, 1].
        """

    def close(self) -> None:
        """Completes the video."""

    def abort(self) -> None:
        """Releases the video without completing it, where nobody reads any more."""


class FileDescriptor:
    """An unbuffered file of the operating system.

    Args:
      number: The descriptor.
    """

    def __init__(self, number: int):
        self._number = number

    def write(self, data: bytes) -> int:
        """Writes all of the data.

        Args:
          data: The bytes.

        Returns:
          The number of bytes.
        """
        left = memoryview(data)
        while left:
            left = left[os.write(self._number, left) :]
        return len(data)


def open_sink(
    video_format: str,
    file: FileDescriptor,
    size: tuple[int, int],
    fps: fractions.Fraction,
    rate: int,
    metadata: dict[str, str] | None = None,
) -> VideoSink:
    """Starts a video.

    Args:
      video_format: One of `FORMATS`.
      file: What it is written to.
      size: Height and width, pixels.
      fps: Frame rate in frames/s.
      rate: Rate of the audio, Hz.
      metadata: Tags of an mp4. A Y4M says that it is synthetic in its header; raw RGB cannot.

    Returns:
      The sink.
    """
    if video_format == "mp4":
        return _Mp4Sink(file, size, fps, rate, metadata)
    return (_Y4mSink if video_format == "y4m" else _RawSink)(file, size, fps)


class _RawSink:
    """Rows of red, green and blue bytes, one frame after the other, without audio."""

    delay = 0.0

    def __init__(self, file: FileDescriptor, size: tuple[int, int], fps: fractions.Fraction):
        self._file, self._frames_out = file, 0

    @property
    def frames_out(self) -> int:
        return self._frames_out

    def write_frame(self, frame: np.ndarray) -> None:
        self._file.write(self._encode(frame))
        self._frames_out += 1

    def _encode(self, frame: np.ndarray) -> bytes:
        return frame.tobytes()

    def write_audio(self, samples: np.ndarray) -> None:
        pass

    def close(self) -> None:
        pass

    abort = close


class _Y4mSink(_RawSink):
    """YUV4MPEG2 with its size and rate; 4:4:4, which keeps lips and teeth sharp."""

    def __init__(self, file: FileDescriptor, size: tuple[int, int], fps: fractions.Fraction):
        super().__init__(file, size, fps)
        form = f"W{size[1]} H{size[0]} F{fps.numerator}:{fps.denominator}"
        header = f"YUV4MPEG2 {form} Ip A1:1 C444 XCOLORRANGE=LIMITED XSYNTHETIC\n"
        file.write(header.encode())

    def _encode(self, frame: np.ndarray) -> bytes:
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        return b"FRAME\n" + picture.reformat(format="yuv444p").to_ndarray().tobytes()


class _Mp4Sink(VideoWriter):
    """H.264 and AAC in fragments of one frame each."""

    # Samples of an AAC frame; the encoder returns one when it has the next.
    _AAC_FRAME = 1024

    def __init__(
        self,
        file: FileDescriptor,
        size: tuple[int, int],
        fps: fractions.Fraction,
        rate: int,
        metadata: dict[str, str] | None,
    ):
        self._counter = _FrameCounter(file)
        super().__init__(self._counter, *size, fps, rate, metadata, fragmented=True)
        self.delay = float(1 / fps) + 2 * self._AAC_FRAME / rate

    @property
    def frames_out(self) -> int:
        return self._counter.frames


class _FrameCounter:
    """Passes an mp4 on and counts its frames: a `moof` box lists those of the `mdat` after it."""

    def __init__(self, file: FileDescriptor):
        self._file, self._box, self._skip, self._in_fragment = file, b"", 0, 0
        self.frames = 0

    def write(self, data: bytes) -> int:
        self._file.write(data)
        left = memoryview(data)
        while left:
            if self._skip:  # Within a box whose content does not matter.
                taken = min(self._skip, len(left))
                self._skip -= taken
                if not self._skip:
                    self.frames, self._in_fragment = self.frames + self._in_fragment, 0
            else:
                needed = _BOX_HEADER.size
                if len(self._box) >= needed:
                    needed = _BOX_HEADER.unpack_from(self._box)[0]
                taken = min(needed - len(self._box), len(left))
                self._box += left[:taken]
                if len(self._box) == needed:
                    self._parse_box()
            left = left[taken:]
        return len(data)

    def _parse_box(self) -> None:
        # Of a `moof` the whole box is needed, of others the header.
        size, kind = _BOX_HEADER.unpack_from(self._box)
        if kind != b"moof":
            self._box, self._skip = b"", size - _BOX_HEADER.size
        elif len(self._box) == size:
            self._in_fragment = _count_frames(self._box[_BOX_HEADER.size :])
            self._box = b""


def _count_frames(moof: bytes) -> int:
    # The samples of a fragment's first track.
    count = 0
    for kind, track in _boxes(moof):
        if kind != b"traf":
            continue
        boxes = list(_boxes(track))
        ids = [struct.unpack_from(">I", body, 4)[0] for kind, body in boxes if kind == b"tfhd"]
        runs = [struct.unpack_from(">I", body, 4)[0] for kind, body in boxes if kind == b"trun"]
        count += sum(runs) if ids == [1] else 0
    return count


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    # Type and body of each box in a box.
    while len(data) >= _BOX_HEADER.size:
        size, kind = _BOX_HEADER.unpack_from(data)
        yield kind, data[_BOX_HEADER.size : size]
        data = data[size:]
