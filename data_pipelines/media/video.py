"""Reads a video file's frames one by one, each with its time, at any rate, upright."""

import itertools
import struct
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
from data_pipelines.media import orientation, video_color
from data_pipelines.media.deinterlacing import deinterlaced

_PREROLLS = (1.0, 10.0)  # Seconds before a time to seek to; not every format seeks exactly.
_MAX_STILL = 1.0  # Seconds that one frame may last.
# By FFmpeg's number of the matrix, of those that its scaler does not read.
_UNREAD_COLORS = {8: "as YCgCo", 10: "as BT.2020 of constant luminance", 14: "as ICtCp"}
_TIE = 1e-6  # Seconds; two frames are equally near, but for rounding.

Stream = TypeVar("Stream", bound=av.stream.Stream)


def select_stream(streams: Sequence[Stream]) -> Stream | None:
    """Selects the stream that a player would play.

    Args:
      streams: Streams of one kind.

    Returns:
      The first default stream, else the first; None if there is none.
    """
    default = [s for s in streams if s.disposition & av.stream.Disposition.default]
    return next(iter([*default, *streams]), None)


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """Selects the video that a player would play.

    Args:
      container: The open file.

    Returns:
      The stream; None if there is none, but perhaps the cover of a song.
    """
    cover = av.stream.Disposition.attached_pic
    return select_stream([s for s in container.streams.video if not s.disposition & cover])


def decode_from(container: av.container.InputContainer, stream: Any, time: float) -> Iterator[Any]:
    """Decodes a stream, beginning at or before a time.

    Args:
      container: The open file.
      stream: One of its audio or video streams.
      time: Seconds on the file's own clock.

    Returns:
      The stream's PyAV frames.
    """
    start, unit = (stream.start_time or 0) * (stream.time_base or 0), stream.time_base
    for preroll in _PREROLLS:
        if time - preroll <= start:
            break
        container.seek(int((time - preroll) / unit), stream=stream)
        frames = _after_seek(container, stream, time)
        frame = next(frames, None)
        if frame is not None and frame.time is not None and frame.time <= time:
            return itertools.chain([frame], frames)
    if time - _PREROLLS[0] > start:
        container.seek(0)
    return container.decode(stream)


def _after_seek(container: av.container.InputContainer, stream: Any, time: float) -> Iterator[Any]:
    # Skips what cannot be decoded before `time`: a seek may land inside a packet.
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
    """Decodes the frames of an open file, once and forwards. Time 0 is its first frame.

    Args:
      container: The open file.

    Attributes:
      fps: Mean frames per second.
      origin: Time of the first frame on the file's own clock, in seconds.
      seconds: Duration by the header; 0 if it declares none.
      frame_count: Number of frames decoded so far.
      conversions: What makes pictures of the frames decoded so far, in words, such as
        "deinterlaced by bwdif"; empty for those that are shown as they are stored.

    Raises:
      BadClip: It has no video; or, while decoding, a frame is damaged.
    """

    def __init__(self, container: av.container.InputContainer):
        stream = picture_stream(container)
        if stream is None:
            raise BadClip("no video in it")
        rates = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]
        if not rates or not stream.time_base:
            raise BadClip("no frame rate")
        stream.codec_context.thread_count = 1  # A corpus is spread over processes instead.
        self._container, self._stream, self._unit = container, stream, stream.time_base
        self._reformatter = VideoReformatter()
        self._orientation = orientation.EXIF[1]  # Of all frames, by the first that is decoded.
        self._pixel_aspect = float(stream.sample_aspect_ratio or 1)  # Width by height.
        self.fps = float(min(rates))  # The higher rate also counts ticks without a frame.
        self.origin = float((stream.start_time or 0) * self._unit)
        declared = float((stream.duration or 0) * self._unit)
        self.seconds = declared or (container.duration or 0) / av.time_base
        # AVI stores decoding times alone: decoded frames come in order, late by a constant delay.
        self._has_pts = container.format.name != "avi"
        self.frame_count, self.conversions = 0, set[str]()

    def frames(self, start: float = 0.0) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decodes frames with their times, deinterlaced.

        A frame without a time, or with one that does not come after the previous frame's, follows
        that by 1 / fps.

        Args:
          start: Seconds; decoding begins at or just before it.

        Returns:
          Pairs of time in seconds, strictly increasing, and frame.

        Raises:
          BadClip: A frame is damaged, or of another size than the first.
        """
        return deinterlaced(self._decoded(start))

    def _decoded(self, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
        time = size = None
        zero, from_first = self.origin, start <= _PREROLLS[0] or not self._has_pts
        if not from_first:  # Matroska's own start_time is always 0.
            first = next(self._container.decode(self._stream), None)
            zero = self.origin = self.origin if first is None else first.time or 0.0
            self._container.seek(0)
        begin = self.origin + (0.0 if from_first else start)
        for frame in decode_from(self._container, self._stream, begin):
            stamp = frame.pts if self._has_pts else frame.dts
            file_time = None if stamp is None else float(stamp * self._unit)
            if time is None and from_first:
                zero = zero if file_time is None else file_time
                time = 0.0
                self.origin = zero if self._has_pts else self.origin
            elif file_time is None or (time is not None and file_time - zero <= time):
                time = (time or 0.0) + 1 / self.fps
            else:
                time = file_time - zero
            self.frame_count += 1
            if time > start - 1 / self.fps:  # Before it, a seek may have left gaps.
                if frame.is_corrupt:  # PyAV does not raise: the decoder has concealed the loss.
                    raise BadClip(f"a damaged frame at {time:.2f} s")
                shape = frame.width, frame.height, frame.rotation
                if frame.interlaced_frame:
                    self.conversions.add("deinterlaced by bwdif")
                if size is None:
                    size, self._orientation = shape, _orientation(frame)
                    self.conversions |= _conversions(frame, self._orientation)
                if size != shape:
                    raise BadClip(f"the frame size changes at {time:.2f} s")
            yield time, frame

    def at_rate(
        self, fps: float, start: float = 0.0, end: float | None = None
    ) -> Iterator[av.VideoFrame]:
        """Resamples the frames in time: frame k is the one nearest to start + k / fps.

        Of two equally near frames it is the earlier one. The last frame lasts 1 / self.fps.

        Args:
          fps: Frames per second.
          start: Seconds.
          end: Seconds; None: the end of the video.

        Yields:
          Frames; one that is repeated is the same object.

        Raises:
          BadClip: A frame is damaged or lasts longer than 1 s, or there is none after `start`.
        """
        k, previous, previous_time = 0, None, 0.0
        count = sys.maxsize if end is None else round((end - start) * fps)
        for time, frame in self.frames(start):
            if previous is not None:
                if time > start and time - previous_time > _MAX_STILL:
                    raise BadClip(
                        f"no new frame for {time - previous_time:.1f} s at {previous_time:.2f} s"
                    )
                middle = (previous_time + time) / 2 + _TIE
                while k < count and start + k / fps <= middle:
                    yield previous
                    k += 1
            if k >= count:
                return
            previous, previous_time = frame, time
        if previous is None or previous_time + 1 / self.fps <= start:
            raise BadClip(f"no frames after {start:g} s" if start else "no frames")
        count = min(count, max(k, 1, round((previous_time + 1 / self.fps - start) * fps)))
        yield from itertools.repeat(previous, count - k)

    def to_rgb(self, frame: av.VideoFrame, max_side: int | None = None) -> np.ndarray:
        """Converts a frame to RGB as a viewer shows it: upright, square pixels, SDR of BT.709.

        Args:
          frame: A frame of this video.
          max_side: Pixels that the shorter side may have; larger frames are shrunk.

        Returns:
          uint8 [H, W, 3].

        Raises:
          BadClip: Its colours are stored in a way that FFmpeg's scaler does not read.
        """
        height, width = frame.height, frame.width * self._pixel_aspect
        scale = min(1.0, max_side / min(height, width)) if max_side else 1.0
        size: dict[str, Any] = {"height": round(height * scale), "width": round(width * scale)}
        if size != {"height": frame.height, "width": frame.width}:
            size["interpolation"] = "AREA"  # Takes twice as long even where nothing is scaled.
        convert = video_color.sdr_conversion(
            frame.color_trc, frame.color_primaries, frame.color_range
        )
        depth = "rgb48le" if convert else "rgb24"
        # One reformatter for the file, since each one starts threads of its own.
        try:
            rgb = self._reformatter.reformat(frame, format=depth, threads=1, **size).to_ndarray()
        except av.error.FFmpegError as error:
            name = _UNREAD_COLORS.get(int(frame.colorspace), "in an unknown way")
            raise BadClip(
                f"colours stored {name}, which is not read; convert it to BT.709"
            ) from error
        rgb = convert(rgb) if convert else rgb
        return np.ascontiguousarray(self._orientation.upright(rgb))


def _conversions(frame: av.VideoFrame, turned: orientation.Orientation) -> set[str]:
    words = set()
    if turned.transposed or turned.flipped_rows or turned.flipped_columns:
        words.add("mirrored" if turned.is_mirrored else "turned upright")
    return words | {video_color.describe(frame.color_trc, frame.color_primaries)} - {""}


def _orientation(frame: av.VideoFrame) -> orientation.Orientation:
    # PyAV's `rotation` is the angle alone, without the mirroring of a selfie camera. A frame whose
    # side data was read stays in memory until the garbage collector runs: not for every frame.
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV does not know all kinds of side data: Motion JPEG may have EXIF.
        angle = np.radians(-frame.rotation)
        cos, sin = np.cos(angle), np.sin(angle)
        return orientation.from_display_matrix([cos, sin, 0, -sin, cos, 0, 0, 0, 1])
    if matrix is None:
        return orientation.EXIF[1]
    return orientation.from_display_matrix(struct.unpack("=9i", bytes(matrix)))
