"""The pictures of a video file: one after the other, each with its time, at any rate, upright."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import av
import av.container
import av.error
import av.stream
import numpy as np
from av.video.reformatter import VideoReformatter

from data_pipelines.common.errors import BadClip

_PREROLLS = (1.0, 10.0)  # Seconds before a part to seek to; not every format seeks exactly.
_LONGEST_STILL = 1.0  # Seconds that one picture may last.
_TIE = 1e-6  # Seconds; two pictures are as near as each other, but for rounding.

Stream = TypeVar("Stream", bound=av.stream.Stream)


def select_stream(streams: Sequence[Stream]) -> Stream | None:
    """What a player shows of several: the first that is the default one, else the first."""
    default = [s for s in streams if s.disposition & av.stream.Disposition.default]
    return next(iter([*default, *streams]), None)


def decode_from(container: av.container.InputContainer, stream: Any, time: float) -> Iterator[Any]:
    """The frames of a stream from one at or before `time`, in seconds of the file's own."""
    first, unit = (stream.start_time or 0) * (stream.time_base or 0), stream.time_base
    for preroll in _PREROLLS:
        if time - preroll <= first:
            break
        container.seek(int((time - preroll) / unit), stream=stream)
        frames = _after_seek(container, stream, time)
        frame = next(frames, None)
        if frame is not None and frame.time is not None and frame.time <= time:
            return itertools.chain([frame], frames)
    if time - _PREROLLS[0] > first:
        container.seek(0)
    return container.decode(stream)


def _after_seek(container: av.container.InputContainer, stream: Any, time: float) -> Iterator[Any]:
    """Until `time`, what cannot be decoded is passed over: a seek may land inside a packet."""
    reached = False
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            if reached:
                raise
            continue
        for frame in frames:
            reached = reached or (frame.time or 0) >= time
            yield frame


class VideoReader:
    """The pictures of an opened file, decoded once and forwards. Time 0 is its first picture.

    Raises:
      BadClip: it has none, or in the course of decoding: they are damaged.
    """

    def __init__(self, container: av.container.InputContainer):
        cover = av.stream.Disposition.attached_pic  # Of a song.
        stream = select_stream([s for s in container.streams.video if not s.disposition & cover])
        if stream is None:
            raise BadClip("no picture in it")
        rates = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]
        if not rates or not stream.time_base:
            raise BadClip("no frame rate")
        stream.codec_context.thread_count = 1  # A corpus is spread over processes instead.
        self._container, self._stream, self._unit = container, stream, stream.time_base
        self._reformatter = VideoReformatter()
        self._aspect = float(stream.sample_aspect_ratio or 1)  # Width of a pixel by its height.
        self.fps = float(min(rates))  # The mean; what counts ticks without a picture is higher.
        self.origin = float((stream.start_time or 0) * self._unit)  # In the file's own time.
        declared = float((stream.duration or 0) * self._unit)
        self.seconds = declared or (container.duration or 0) / av.time_base  # By the header; or 0.
        # AVI knows when to decode, not when to show: decoded pictures come in order, late by a delay.
        self._timed = container.format.name != "avi"
        self.count = 0  # Pictures decoded.

    def pictures(self, start: float = 0.0) -> Iterator[tuple[float, av.VideoFrame]]:
        """Each picture and its time in seconds, rising; begins at or just before `start`.

        A picture without a time, or with one that does not come after the last, follows the last
        by 1 / fps.
        """
        time = size = None
        zero, from_first = self.origin, start <= _PREROLLS[0] or not self._timed
        if not from_first:  # Matroska's own start_time is always 0.
            first = next(self._container.decode(self._stream), None)
            zero = self.origin = self.origin if first is None else first.time or 0.0
            self._container.seek(0)
        since = self.origin + (0.0 if from_first else start)
        for frame in decode_from(self._container, self._stream, since):
            stamp = frame.pts if self._timed else frame.dts
            own = None if stamp is None else float(stamp * self._unit)
            if time is None and from_first:
                zero = zero if own is None else own
                time = 0.0
                self.origin = zero if self._timed else self.origin
            elif own is None or (time is not None and own - zero <= time):
                time = (time or 0.0) + 1 / self.fps
            else:
                time = own - zero
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
        size: dict[str, Any] = {"height": round(height * scale), "width": round(width * scale)}
        if size != {"height": frame.height, "width": frame.width}:
            size["interpolation"] = "AREA"  # Which takes twice as long where nothing is scaled.
        # One for the file, since it starts threads of its own for each frame otherwise.
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=1, **size).to_ndarray()
        return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))
