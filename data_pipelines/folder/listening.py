"""The cuts of every video: its sound listened to in a process of its own, the result kept."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import math
import multiprocessing
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

import av
import av.container
import av.error
import numpy as np
import tqdm
from etils import epath

from data_pipelines import clips, media, pool
from data_pipelines.errors import BadClip
from data_pipelines.folder import cutting
from data_pipelines.folder.sources import Cut, Video

VERSION = 1  # Of what find_cuts does; a new one listens to every video again.
_LONGEST = 48 * 3600  # Seconds of a video; sound beyond is a damaged time.
_SECONDS_PER_LINE = 10  # Of progress, where there is no terminal.


@dataclasses.dataclass(frozen=True)
class Lengths:
    """What the cuts of a video depend on beside itself."""

    fps: int  # They lie on its grid.
    min_seconds: float
    max_seconds: float


@dataclasses.dataclass(frozen=True)
class Cuts:
    """What was found out about a video."""

    cuts: tuple[Cut, ...] = ()
    in_speech: int = 0  # How many of them end in the middle of speech.
    unusable: str = ""  # Why there are none.


def listen_to_all(
    videos: Sequence[Video], lengths: Lengths, folder: epath.Path, workers: int = 0
) -> dict[str, Cuts]:
    """{name: cuts} of the videos, kept as a file each in `folder`; `workers` 0: one per core."""
    kept = {video.name: folder / f"{video.name}.{_key(video, lengths)}.json" for video in videos}
    result, waiting = {}, []
    for video in videos:
        if kept[video.name].exists():
            found = json.loads(kept[video.name].read_text())
            found["cuts"] = tuple(Cut(start, end) for start, end in found["cuts"])
            result[video.name] = Cuts(**found)
        else:
            waiting.append(video)
    find = functools.partial(find_cuts, lengths=lengths)
    for video, found in _progress(_each(find, waiting, workers), len(waiting)):
        result[video.name] = found
        text = dataclasses.asdict(found)
        text["cuts"] = [(cut.start, cut.end) for cut in found.cuts]
        media.write_atomically(kept[video.name], json.dumps(text).encode())
    return result


def find_cuts(path: pathlib.Path, lengths: Lengths) -> Cuts:
    """A video that is no longer than a clip may be is one, whole; others are cut in their pauses."""
    try:
        seconds = _told_length(path)
        if seconds is not None and seconds <= lengths.max_seconds:
            return Cuts((Cut(),))
        levels = listen(path, lengths.fps)
    except BadClip as e:
        return Cuts(unusable=str(e))
    except (av.error.FFmpegError, OSError) as e:
        return Cuts(unusable=f"cannot be decoded ({e.strerror})")
    if len(levels) <= lengths.max_seconds * lengths.fps:
        return Cuts((Cut(),))
    parts = cutting.parts(levels, lengths.fps, lengths.min_seconds, lengths.max_seconds)
    if not parts:
        return Cuts(unusable="no speech in it")
    cuts = tuple(Cut(part.first / lengths.fps, part.last / lengths.fps) for part in parts)
    return Cuts(cuts, sum(part.in_speech for part in parts))


def listen(path: str | os.PathLike, fps: int) -> np.ndarray:
    """The level of a video's sound in each 1/fps s from its first frame on, float32 [T], in dB.

    T is how long both picture and sound last. The level is that of the deviation from the frame's
    mean, relative to a full-scale sine's peak; -inf where there is no sound. Sound is placed by its
    times, one packet after the other, so that neither a hole nor hours of it matter.

    Raises:
      BadClip: there is no picture or no sound.
      av.error.FFmpegError: it cannot be read at all.
    """
    totals = np.zeros((3, 1024))  # Samples of each frame: count, sum, sum of squares.
    heard = 0
    with av.open(os.fspath(path)) as container:
        start, end = _check_streams(container), 0.0
        video, audio = container.streams.video[0], container.streams.audio[0]
        for packet in container.demux(video, audio):
            if packet.stream_index == video.index:
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                continue
            for frame in _decoded(packet):
                samples = frame.to_ndarray()
                samples = (
                    samples if frame.format.is_planar else samples.reshape(frame.samples, -1).T
                )
                samples = media.to_mono_float(samples.T).astype(np.float64)
                begin = ((frame.time or 0.0) - start) * frame.sample_rate
                at = (
                    np.arange(round(begin), round(begin) + frame.samples) * fps // frame.sample_rate
                )
                samples, at = samples[at >= 0], at[at >= 0]
                if not len(at):
                    continue
                if at[-1] >= _LONGEST * fps:
                    raise BadClip(f"sound at {at[-1] / fps:.0f} s: its times are damaged")
                while at[-1] >= totals.shape[1]:
                    totals = np.pad(totals, ((0, 0), (0, totals.shape[1])))
                for row, values in enumerate((None, samples, samples**2)):
                    counts = np.bincount(at - at[0], values)
                    totals[row, at[0] : at[0] + len(counts)] += counts
                heard = max(heard, int(at[-1]) + 1)
    count, total, squares = totals[:, : min(heard, math.floor((end - start) * fps))]
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.nan_to_num(squares / count - (total / count) ** 2)
        return (10 * np.log10(np.maximum(power, 0))).astype(np.float32)


def _check_streams(container: av.container.InputContainer) -> float:
    """The time of the first frame, in seconds; raises BadClip where picture or sound is missing."""
    if not container.streams.video:
        raise BadClip("no picture in it")
    if not container.streams.audio:
        raise BadClip("no sound")
    video = container.streams.video[0]
    return float((video.start_time or 0) * (video.time_base or 0))


def _told_length(path: pathlib.Path) -> float | None:
    """Seconds, where the file says how many."""
    with av.open(os.fspath(path)) as container:
        _check_streams(container)
        return None if container.duration is None else container.duration / av.time_base


def _decoded(packet: av.Packet) -> Iterable[av.AudioFrame]:
    """The sound in a packet; none of a damaged one, which is the fault of one clip alone."""
    try:
        return [frame for frame in packet.decode() if isinstance(frame, av.AudioFrame)]
    except av.error.InvalidDataError:
        return []


def _key(video: Video, lengths: Lengths) -> str:
    text = f"{VERSION} {clips.file_stamp(video.path)} {lengths}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _each(
    find: functools.partial[Cuts], videos: Sequence[Video], workers: int
) -> Iterator[tuple[Video, Cuts]]:
    """As they are done; a video that kills its process is tried alone, and then unusable."""
    workers = min(workers or os.cpu_count() or 1, len(videos))
    if workers <= 1:
        yield from ((video, find(video.path)) for video in videos)
        return
    waiting = list(videos)
    while waiting:
        try:
            with _processes(workers) as executor:
                running = {executor.submit(find, video.path): video for video in waiting}
                for future in concurrent.futures.as_completed(running):
                    found = future.result()
                    waiting.remove(running[future])
                    yield running[future], found
        except BrokenProcessPool:
            for video in waiting[:workers]:
                yield video, _alone(find, video)
            del waiting[:workers]


def _alone(find: functools.partial[Cuts], video: Video) -> Cuts:
    try:
        with _processes(1) as executor:
            return executor.submit(find, video.path).result()
    except BrokenProcessPool:
        return Cuts(unusable="the process that decoded it died")


def _processes(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # As in pool.py.
    return concurrent.futures.ProcessPoolExecutor(workers, context, _start)


def _start() -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act upon.
    threading.Thread(target=pool.die_with_parent, daemon=True).start()


def _progress(results: Iterable[tuple[Video, Cuts]], total: int) -> Iterator[tuple[Video, Cuts]]:
    """Shows rate and time left; a bar on a terminal."""
    terminal = sys.stderr.isatty()
    bar = tqdm.tqdm(total=total, desc="listening", unit="video", disable=not (terminal and total))
    start = shown = time.monotonic()
    for done, result in enumerate(results, 1):
        yield result
        bar.update()
        now = time.monotonic()
        if not terminal and (done == total or now - shown > _SECONDS_PER_LINE):
            rate, shown = done / (now - start), now
            print(
                f"listened to {done} of {total} videos, {rate:.2f} videos/s, "
                f"{(total - done) / rate / 60:.1f} min left",
                flush=True,
            )
    bar.close()
