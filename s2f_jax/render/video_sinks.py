"""What `stream` writes: raw pictures, Y4M, or an mp4 that plays while it grows."""

import fractions
import os
import struct
from collections.abc import Iterator
from typing import Protocol

import av
import numpy as np

from data_pipelines.media.writer import VideoWriter

FORMATS = ("mp4", "y4m", "rgb24")
_BOX = struct.Struct(">I4s")  # Size, kind.


class Sink(Protocol):
    """delay: seconds that the format holds a picture back, at most."""

    delay: float

    @property
    def out(self) -> int:
        """Pictures that have left this process."""
        ...

    def write_frame(self, picture: np.ndarray) -> None:
        """uint8 [H, W, 3] RGB. Raises OSError where it cannot be written."""
        ...

    def write_audio(self, samples: np.ndarray) -> None:
        """Mono float32 [S] in [-1, 1], before the pictures of its time."""
        ...

    def close(self) -> None:
        """Ends the video."""
        ...

    def abort(self) -> None:
        """Instead of close where nobody reads any more."""
        ...


class Descriptor:
    """An open file of the system, without a buffer."""

    def __init__(self, number: int):
        self._number = number

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[os.write(self._number, left) :]
        return len(data)


def opened(
    form: str,
    file: Descriptor,
    size: tuple[int, int],
    fps: fractions.Fraction,
    rate: int,
    metadata: dict[str, str] | None = None,
) -> Sink:
    """form: of FORMATS; size: height, width; rate: of the sound; metadata: tags of an mp4; of
    the others, Y4M alone has a place to say that it is synthetic."""
    if form == "mp4":
        return _Mp4(file, size, fps, rate, metadata)
    return (_Y4m if form == "y4m" else _Raw)(file, size, fps)


class _Raw:
    """Rows of red, green, blue bytes, one picture after the other."""

    delay = 0.0

    def __init__(self, file: Descriptor, size: tuple[int, int], fps: fractions.Fraction):
        self._file, self._out = file, 0

    @property
    def out(self) -> int:
        return self._out

    def write_frame(self, picture: np.ndarray) -> None:
        self._file.write(self._bytes(picture))
        self._out += 1

    def _bytes(self, picture: np.ndarray) -> bytes:
        return picture.tobytes()

    def write_audio(self, samples: np.ndarray) -> None:
        """There is no place for it."""

    def close(self) -> None:
        """Nothing follows."""

    abort = close


class _Y4m(_Raw):
    """Pictures that say their size and rate; 4:4:4, which keeps lips and teeth sharp."""

    def __init__(self, file: Descriptor, size: tuple[int, int], fps: fractions.Fraction):
        super().__init__(file, size, fps)
        rate = f"F{fps.numerator}:{fps.denominator}"
        head = (
            f"YUV4MPEG2 W{size[1]} H{size[0]} {rate} Ip A1:1 C444 XCOLORRANGE=LIMITED XSYNTHETIC\n"
        )
        file.write(head.encode())

    def _bytes(self, picture: np.ndarray) -> bytes:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        return b"FRAME\n" + frame.reformat(format="yuv444p").to_ndarray().tobytes()


class _Mp4(VideoWriter):
    """H.264 and AAC in fragments of one picture each."""

    _CODED = 1024  # Samples that AAC takes at a time; it gives them out when it has the next ones.

    def __init__(
        self,
        file: Descriptor,
        size: tuple[int, int],
        fps: fractions.Fraction,
        rate: int,
        metadata: dict[str, str] | None,
    ):
        self._counter = _Counter(file)
        super().__init__(self._counter, *size, fps, rate, metadata, fragmented=True)
        self.delay = float(1 / fps) + 2 * self._CODED / rate

    @property
    def out(self) -> int:
        return self._counter.frames


class _Counter:
    """Counts the pictures of the fragments that pass: a `moof` box lists the samples of the `mdat`
    box after it."""

    def __init__(self, file: Descriptor):
        self._file, self._box, self._left, self._coming = file, b"", 0, 0
        self.frames = 0

    def write(self, data: bytes) -> int:
        self._file.write(data)
        left = memoryview(data)
        while left:
            if self._left:  # Of a box that is not looked into.
                taken = min(self._left, len(left))
                self._left -= taken
                if not self._left:
                    self.frames, self._coming = self.frames + self._coming, 0
            else:
                want = _BOX.size
                if len(self._box) >= want:
                    want = _BOX.unpack_from(self._box)[0]
                taken = min(want - len(self._box), len(left))
                self._box += left[:taken]
                self._look(want)
            left = left[taken:]
        return len(data)

    def _look(self, want: int) -> None:
        """At what there is of a box."""
        if len(self._box) < want:
            return
        size, kind = _BOX.unpack_from(self._box)
        if kind != b"moof":
            self._box, self._left = b"", size - _BOX.size
        elif len(self._box) == size:
            self._coming, self._box = _pictures(self._box[_BOX.size :]), b""


def _pictures(moof: bytes) -> int:
    """How many samples of the first track a fragment has."""
    count = 0
    for kind, track in _boxes(moof):
        if kind != b"traf":
            continue
        parts = list(_boxes(track))
        of = [struct.unpack_from(">I", body, 4)[0] for kind, body in parts if kind == b"tfhd"]
        runs = [struct.unpack_from(">I", body, 4)[0] for kind, body in parts if kind == b"trun"]
        count += sum(runs) if of == [1] else 0
    return count


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in a box: kind and body."""
    while len(data) >= _BOX.size:
        size, kind = _BOX.unpack_from(data)
        yield kind, data[_BOX.size : size]
        data = data[size:]
