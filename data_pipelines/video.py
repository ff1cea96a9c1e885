"""The pictures of a video file: one after the other, each with its time, at any rate, upright."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

import av
import av.container
import av.stream
import numpy as np

from data_pipelines.errors import BadClip

_PREROLLS = (1.0, 10.0)  # Seconds before a part to seek to; not every format seeks exactly.
_LONGEST_STILL = 1.0  # Seconds that one picture may last.
_TIE = 1e-6  # Seconds; two pictures are as near as each other, but for rounding.

Stream = TypeVar("Stream", bound=av.stream.Stream)


def chosen(streams: Sequence[Stream]) -> Stream | None:
    """What a player shows of several: the first that is the default one, else the first."""
    default = [s for s in streams if s.disposition & av.stream.Disposition.default]
    return next(iter([*default, *streams]), None)


class Video:
    """The pictures of an opened file, decoded once and forwards. Time 0 is its first picture.

    Raises:
      BadClip: it has none, or in the course of decoding: they are damaged.
    """

    def __init__(self, container: av.container.InputContainer):
        cover = av.stream.Disposition.attached_pic  # Of a song.
        stream = chosen([s for s in container.streams.video if not s.disposition & cover])
        if stream is None:
            raise BadClip("no picture in it")
        rate = stream.average_rate or stream.guessed_rate
        if not rate or not stream.time_base:
            raise BadClip("no frame rate")
        stream.codec_context.thread_count = 1  # A corpus is spread over processes instead.
        self._container, self._stream, self._unit = container, stream, stream.time_base
        self._aspect = float(stream.sample_aspect_ratio or 1)  # Width of a pixel by its height.
        self.fps = float(rate)  # The mean, as the file has it.
        self.origin = float((stream.start_time or 0) * self._unit)  # In the file's own time.
        self.seconds = float(stream.duration * self._unit) if stream.duration else None
        self.count = 0  # Pictures decoded.

    def pictures(self, start: float = 0.0) -> Iterator[tuple[float, av.VideoFrame]]:
        """Each picture and its time in seconds, rising; begins at or just before `start`.

        A picture without a time, or with one that does not come after the last, follows the last
        by 1 / fps.
        """
        time = size = None
        for frame in self._decoded(start):
            if time is None and start < _PREROLLS[0] and frame.time is not None:
                self.origin = frame.time  # Of the whole file's first picture.
            own = None if frame.time is None else frame.time - self.origin
            if own is None or (time is not None and own <= time):
                own = 0.0 if time is None else time + 1 / self.fps
            time = own
            self.count += 1
            if time > start - 1 / self.fps:  # Before it, a seek may have left gaps.
                if frame.is_corrupt:  # PyAV does not raise: the decoder has filled in what it lost.
                    raise BadClip(f"the picture is damaged at {time:.2f} s")
                size = size or (frame.width, frame.height, frame.rotation)
                if size != (frame.width, frame.height, frame.rotation):
                    raise BadClip(f"the picture changes its size at {time:.2f} s")
            yield time, frame

    def at_rate(
        self, fps: float, start: float = 0.0, end: float | None = None
    ) -> Iterator[av.VideoFrame]:
        """At start + k / fps the picture nearest in time, the earlier of two; up to `end`.

        A picture that is shown again is the same object. The last one lasts 1 / its own rate.
        """
        k, last, last_time = 0, None, 0.0
        count = sys.maxsize if end is None else round((end - start) * fps)
        for time, frame in self.pictures(start):
            if last is not None:
                if time > start and time - last_time > _LONGEST_STILL:
                    raise BadClip(
                        f"the picture stands still for {time - last_time:.1f} s "
                        f"at {last_time:.2f} s"
                    )
                middle = (last_time + time) / 2 + _TIE
                while k < count and start + k / fps <= middle:
                    yield last
                    k += 1
            if k >= count:
                return
            last, last_time = frame, time
        if last is None or last_time + 1 / self.fps <= start:
            raise BadClip(f"no frames after {start:g} s" if start else "no frames")
        count = min(count, max(k, 1, round((last_time + 1 / self.fps - start) * fps)))
        yield from itertools.repeat(last, count - k)

    def rgb(self, frame: av.VideoFrame, max_side: int | None = None) -> np.ndarray:
        """-> uint8 [H, W, 3], upright, pixels square, the shorter side at most `max_side`."""
        height, width = frame.height, frame.width * self._aspect
        scale = min(1.0, max_side / min(height, width)) if max_side else 1.0
        rgb = frame.to_ndarray(
            format="rgb24",
            height=round(height * scale),
            width=round(width * scale),
            interpolation="AREA",
        )
        return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))

    def _decoded(self, start: float) -> Iterator[av.VideoFrame]:
        """All frames from a key frame at or before `start`."""
        stream = self._stream
        for preroll in _PREROLLS:
            if start < preroll:
                break
            to = self.origin + start - preroll
            self._container.seek(int(to / self._unit), stream=stream)
            frames = self._container.decode(stream)
            first = next(frames, None)
            if first is not None and first.time is not None and first.time <= to + preroll:
                return itertools.chain([first], frames)
        if start >= _PREROLLS[0]:
            self._container.seek(0)
        return self._container.decode(stream)
