"""Decodes the sound of an open file with each part at its own time, and says what is missing.

Packets that a recorder left out, or that do not decode, leave holes, which become silence; what
overlaps the part before it is cut. So all times after a hole are right, whatever the format.
"""

import collections
import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import av
import av.container
import av.error
import numpy as np

from data_pipelines.media import video
from data_pipelines.media.downmix import Downmixer, default_layout
from data_pipelines.media.sound import Resampler, to_float

# Seconds by which a part may begin apart from the end of the part before it: between the two limits,
# half its length. Time stamps of Matroska and FLV are rounded to 1 ms, those of streams from a network
# waver; what a recorder leaves out are whole packets.
_MIN_STEP, _MAX_STEP = 0.002, 0.02
# Seconds by which parts may be apart on average over so many seconds: clocks drift, too.
_MAX_DRIFT, _DRIFT_MEMORY = 0.003, 0.25
_MAX_OVERLAP = 1.0  # Seconds that are cut; if it is further back, the clock was started anew.
# Seconds of a hole that is believed; a longer one is a damaged time stamp, or the clock of another part
# in the formats whose files can be joined.
_MAX_HOLE, _MAX_JOINED_HOLE = 600.0, 10.0
_JOINABLE = ("mpegts", "mpeg")
# Whose length by the header is the time of the end.
_ENDS_DECLARED = ("matroska,webm", "asf")
_END_SLACK = 1.0  # Seconds after the declared end that time stamps are believed.
_SILENCE_PIECE = 48000  # Samples.
_PREROLL = 1.0  # Seconds before a time to seek to, since decoders need some packets to settle.
MENTIONED = 0.1  # Seconds of silence or overlap from which they are worth a word.
# By how much sound may end before the length that its file declares, which may be an estimate.
_MAX_SHORT, _MAX_SHORT_SHARE = 0.5, 0.02
_MAX_SAMPLE = 16.0  # Of floats, whose full scale is 1; a damaged one may be any number.
_NO_SAMPLES = np.zeros(0, np.float32)
MAX_LOST = 0.25  # Share of packets that do not decode; beyond it the sound is of no use.


@dataclasses.dataclass
class SoundLosses:
    """What a file's sound lacked, and what was done about it. Times are from the sound's start.

    Attributes:
      holes: Time and length of each silence in place of sound that is missing, s.
      cut: Seconds of sound that overlapped the sound before it.
      packets: Packets of sound in what was read.
      lost: How many of them did not decode.
      lost_at: Time of the first of these, s.
      short: Seconds by which the sound ends before the length that the file declares.
      broken: Whether reading ended in an error, or without the format's mark of an end.
      restarts: How often time stamps jumped so far that they were not believed.
      skipped_tracks: Sound tracks before the one used, which did not decode.
      inverted: Whether a channel was in opposite phase for most of the time, and was inverted.
      timed: Whether the format has time stamps of sound, which tell where it is missing.
    """

    holes: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    cut: float = 0.0
    packets: int = 0
    lost: int = 0
    lost_at: float = 0.0
    short: float = 0.0
    broken: bool = False
    restarts: int = 0
    skipped_tracks: int = 0
    inverted: bool = False
    timed: bool = True

    def filled(self, seconds: float = math.inf) -> float:
        """Sums up the silence in place of missing sound.

        Args:
          seconds: What lies later is left out.

        Returns:
          Seconds.
        """
        return sum(max(min(time + length, seconds) - time, 0.0) for time, length in self.holes)

    @property
    def unusable(self) -> str:
        """Why the sound is of no use, if it is: a clause for messages; else empty."""
        if self.lost > MAX_LOST * self.packets:
            return f"{self.lost} of its {self.packets} packets do not decode"
        return ""

    def describe(self) -> list[str]:
        """Describes the losses.

        Returns:
          Clauses for messages; none for sound that is whole.
        """
        described = (
            (
                self.skipped_tracks,
                f"it is its sound track {self.skipped_tracks + 1}: none before has sound",
            ),
            (
                self.lost,
                f"{self.lost} of its {self.packets} packets did not decode, the first at"
                f" {self.lost_at:.2f} s",
            ),
            (
                self.filled() >= MENTIONED,
                f"{self.filled():.2f} s are missing, first at {min(self.holes, default=(0.0,))[0]:.2f}"
                " s, and are silent now",
            ),
            (self.cut >= MENTIONED, f"{self.cut:.2f} s that overlapped others were cut"),
            (self.restarts, f"time stamps that jump were not followed ({self.restarts} of them)"),
            (self.short, f"it ends {self.short:.2f} s before the length that the file declares"),
            (self.broken and not self.short, "the file breaks off"),
            (self.inverted, "its channels are in opposite phase, and one was inverted"),
        )
        return [clause for applies, clause in described if applies]


class _Clock:
    """Compares time stamps with the samples counted so far.

    Args:
      time: Time of the first sample in seconds.
      latest: Time after which no time stamp is believed, in seconds.
      max_hole: Longest hole that is believed, in seconds.
    """

    def __init__(self, time: float, latest: float, max_hole: float = _MAX_HOLE):
        self.next = time  # The next sample's time, by the samples before it.
        self._latest, self._max_hole = latest, max_hole
        self._drift = self._shift = 0.0
        self.restarts = 0

    def gap(self, stamp: float | None, seconds: float) -> float:
        """Returns the seconds of a hole (positive) or overlap before a part, and passes the part."""
        deviation = 0.0 if stamp is None else stamp + self._shift - self.next
        late = deviation > _MAX_OVERLAP and self.next + deviation > self._latest
        if deviation < -_MAX_OVERLAP or deviation > self._max_hole or late:
            self._shift -= deviation
            self.restarts += 1
            deviation = 0.0
        self._drift += (deviation - self._drift) * min(seconds / _DRIFT_MEMORY, 1.0)
        if abs(deviation) <= max(_MIN_STEP, min(seconds / 2, _MAX_STEP)):
            deviation = self._drift if abs(self._drift) > _MAX_DRIFT else 0.0
        if deviation:
            self._drift = 0.0
        deviation = max(deviation, -seconds)
        self.next += deviation + seconds
        return deviation


class _Packets:
    """The packets of several tracks of a file from a time on, or from before it.

    Matroska without an index cannot be read again from the start: what is not asked for yet waits.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        tracks: Sequence[av.AudioStream],
        start: float | None,
    ):
        self._container, self._tracks = container, tracks
        self._waiting = {track.index: collections.deque[av.Packet]() for track in tracks}
        self._any_read = self.broken = False
        self._demuxed = self._from(start)

    def next(self, track: av.AudioStream) -> av.Packet | None:
        """Returns a track's next packet; None at its end, or where the file cannot be read on."""
        waiting = self._waiting[track.index]
        while not waiting and (packet := self._read(self._demuxed)) is not None:
            index = (
                packet.stream.index
            )  # Not its stream_index, which is 0 in those that end a track.
            if index in self._waiting:
                self._waiting[index].append(packet)
        return waiting.popleft() if waiting else None

    def drop_all_but(self, track: av.AudioStream) -> None:
        self._waiting = {track.index: self._waiting[track.index]}

    def _read(self, packets: Iterator[av.Packet]) -> av.Packet | None:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            if not self._any_read:
                raise
            self.broken = True
            return None
        self._any_read = True
        return packet

    def _from(self, start: float | None) -> Iterator[av.Packet]:
        """Demuxes from the start or just before it, if the format can seek there."""
        track, unit = self._tracks[0], self._tracks[0].time_base
        first = float((track.start_time or 0) * (unit or 0))
        if start is None or not unit or start - _PREROLL <= first:
            return self._container.demux(*self._tracks)
        with contextlib.suppress(av.error.FFmpegError):  # Some formats cannot seek at all.
            self._container.seek(int((start - _PREROLL) / unit), stream=track)
            packets = self._container.demux(*self._tracks)
            packet = next(packets, None)
            if packet is not None and packet.pts is not None and packet.pts * unit <= start:
                return itertools.chain([packet], packets)
            self._container.seek(0)
        return self._container.demux(*self._tracks)


class SoundTrack:
    """The sound of an open file from a time on: mono samples without holes, decoded on demand.

    The track is the one that a player would play, or else the first that decodes.

    Attributes:
      rate: Sampling rate in Hz: that of the first part; others are resampled to it.
      codec: Name of the track's codec.
      channels: Number of channels of the first part.
      seconds: Length by the file's header; 0 if it declares none.
      losses: What was missing in the sound read so far.

    Args:
      container: The open file.
      start: Seconds on the file's own clock at which the samples begin; None: with the sound.
      end: Seconds on the file's own clock after which decoding may stop; None: the file's end.
      earliest: Seconds on the file's own clock at which, without a `start`, the samples begin if
        sound comes later: the time of the first picture.

    Raises:
      av.error.FFmpegError: The file cannot be read.
      LookupError: None of its tracks has sound that decodes.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        start: float | None = None,
        end: float | None = None,
        earliest: float | None = None,
    ):
        self._container, self._start, self._end = container, start, end
        self._at_end = self._last_lost = False
        self._first_lost = math.inf  # Time, on the file's clock.
        self._frames, first = self._open_track()
        self.rate, self.channels = first.sample_rate, first.layout.nb_channels
        self.codec = self._track.codec_context.name
        time = float(first.time or 0.0)
        if start is None:
            start = min(time, time if earliest is None else earliest, self._first_lost)
        self._start, self._declared_end = start, _declared_end(container, self._track)
        self.seconds = max(self._declared_end - start, 0.0)
        latest = self._declared_end + _END_SLACK if self._declared_end > time else math.inf
        joinable = container.format.name in _JOINABLE
        self._clock = _Clock(time, latest, _MAX_JOINED_HOLE if joinable else _MAX_HOLE)
        self._lead = round((time - start) * self.rate)  # Samples of silence, if above 0.
        self._written = min(self._lead, 0)
        self._format: tuple[int, tuple[str, ...]] | None = None
        self._inverted = 0  # Samples.

    def __iter__(self) -> Iterator[np.ndarray]:
        """Decodes the sound; can be called only once.

        Yields:
          Consecutive samples, float32 [S] in [-1, 1].
        """
        yield from self._silence(max(self._lead, 0))
        for frame, following in itertools.pairwise(itertools.chain(self._frames, [None])):
            assert frame is not None
            samples = _channels(frame)
            if following is None:  # A whole frame of AAC may be decoded where the file ends inside.
                seconds = float((frame.duration or 0) * (frame.time_base or 0))
                samples = samples[:, : round(seconds * frame.sample_rate) or None]
            yield from self._place(frame, samples)
        yield from self._end_part()
        if self._at_end:
            self._compare_end()

    def _open_track(self) -> tuple[Iterator[av.AudioFrame], av.AudioFrame]:
        """Selects the first track that decodes; returns its frames, and the first one apart."""
        tracks = list(self._container.streams.audio)
        default = video.select_stream(tracks)
        tracks.sort(key=lambda track: track is not default)
        self._packets = _Packets(self._container, tracks, self._start)
        for skipped, track in enumerate(tracks):
            self.losses, self._track = SoundLosses(skipped_tracks=skipped), track
            self.losses.timed = self._container.format.name != "avi"
            if track.codec_context is not None:
                frames = self._decode()
                if (first := next(frames, None)) is not None:
                    self._packets.drop_all_but(track)
                    return itertools.chain([first], frames), first
        empty = not self.losses.packets and all(track.codec_context for track in tracks)
        raise LookupError("no sound in it (0 samples)" if empty else "no sound that can be decoded")

    def _decode(self) -> Iterator[av.AudioFrame]:
        """Yields the track's frames up to the end; counts packets that do not decode."""
        losses, track, time = self.losses, self._track, 0.0
        while (packet := self._packets.next(track)) is not None:
            if packet.pts is not None and packet.time_base:
                time = float(packet.pts * packet.time_base)
            if self._end is not None and time > self._end:
                return
            counted = packet.size and (self._start is None or time >= self._start)
            losses.packets += bool(counted)
            try:
                frames = [frame for frame in packet.decode() if isinstance(frame, av.AudioFrame)]
                whole = all(map(_is_finite, frames))
            except av.error.FFmpegError:
                frames, whole = [], False
            self._last_lost = not whole if packet.size else self._last_lost
            if whole:
                yield from frames
            elif counted:
                if not losses.lost:
                    self._first_lost = time
                    losses.lost_at = time - (time if self._start is None else self._start)
                losses.lost += 1
        self._at_end, losses.broken = True, self._packets.broken

    def _place(self, frame: av.AudioFrame, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Yields a frame's samples [channels, S], after the silence of a hole before it."""
        rate, names = frame.sample_rate, tuple(c.name for c in frame.layout.channels)
        time = frame.time if self.losses.timed else None
        gap = self._clock.gap(time, samples.shape[1] / rate)
        self.losses.restarts = self._clock.restarts
        if (rate, names) != self._format:
            yield from self._end_part()
            self._format = rate, names
            known = "unknown" not in frame.layout.name and "channels" not in frame.layout.name
            self._mix = Downmixer(names if known else default_layout(len(names)), rate)
            self._resample = Resampler(rate, self.rate)
        if gap > 0:
            yield from self._emit(self._resample(_NO_SAMPLES, last=True))
            self._resample = Resampler(rate, self.rate)
            yield from self._silence(round(gap * self.rate))
        elif gap < 0:
            samples = samples[:, round(-gap * rate) :]
            self.losses.cut -= gap
        mono = np.clip(self._mix(samples), -1, 1).astype(np.float32)
        yield from self._emit(self._resample(mono))

    def _end_part(self) -> Iterator[np.ndarray]:
        """Yields what the resampler still holds, at the end of a part of one format."""
        if self._format is not None:
            self._inverted += self._mix.inverted_samples * self.rate // self._format[0]
            self.losses.inverted = 2 * self._inverted > max(self._written, 0)
            yield from self._emit(self._resample(_NO_SAMPLES, last=True))

    def _silence(self, count: int) -> Iterator[np.ndarray]:
        missing, losses = (count + min(self._written, 0)) / self.rate, self.losses
        if missing > (0.0 if self._written else MENTIONED):  # A start a bit later is no loss.
            losses.holes.append((max(self._written, 0) / self.rate, missing))
        for begin in range(0, count, _SILENCE_PIECE):
            yield from self._emit(np.zeros(min(_SILENCE_PIECE, count - begin), np.float32))

    def _emit(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Yields samples from the start on."""
        early = max(-self._written, 0)
        self._written += len(samples)
        if len(samples) > early:
            yield samples[early:]

    def _compare_end(self) -> None:
        """Compares the sound's end with what the file declares."""
        clock, kind = self._clock, self._container.format.name
        missing = self._declared_end - clock.next
        estimated = kind == "mp3" and self._last_lost  # By the file's size, with a tag at its end.
        limit = max(_MAX_SHORT, _MAX_SHORT_SHARE * self.seconds) if self.losses.timed else MENTIONED
        if missing > limit and not estimated:
            self.losses.short = 0.0 if clock.restarts else missing


def _is_finite(frame: av.AudioFrame) -> bool:
    return not frame.format.name.startswith(("flt", "dbl")) or bool(
        np.isfinite(frame.to_ndarray()).all()
    )


def _channels(frame: av.AudioFrame) -> np.ndarray:
    """Returns a frame's samples, float [channels, S]."""
    if frame.format.name.startswith("s64"):  # Which PyAV cannot turn into an array.
        (frame,) = av.AudioResampler("dblp").resample(frame)
    samples = frame.to_ndarray()  # Planar [channels, S], packed [1, S * channels].
    samples = samples if frame.format.is_planar else samples.reshape(frame.samples, -1).T
    return np.clip(to_float(samples), -_MAX_SAMPLE, _MAX_SAMPLE)


def _declared_end(container: av.container.InputContainer, track: av.AudioStream) -> float:
    """Returns the end by the file's header, in seconds on its own clock; 0 if it declares none."""
    if container.format.name in _ENDS_DECLARED and container.duration:
        return container.duration / av.time_base
    if track.duration:
        return float(((track.start_time or 0) + track.duration) * (track.time_base or 0))
    return ((container.start_time or 0) + (container.duration or 0)) / av.time_base
