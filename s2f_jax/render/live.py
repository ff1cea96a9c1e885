"""Sound as it comes, the frames that are due, and how late they are."""

import array
import collections
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from data_pipelines.media.sound import Resampler
from s2f_jax.render.video_sinks import Sink

_WAITING = 64  # Pieces of sound that may wait; a file would come whole otherwise.
# Seconds of sound that no pipe holds: what is so far ahead of its time is a file's.
_AHEAD = 5.0


class TimestampedAudioReader:
    """Sound with the time at which it came, heard in a thread of its own, so that drawing does not
    hide how long it had to wait.

    error: what is wrong with the sound, once it has ended.
    """

    def __init__(self, pieces: Iterator[np.ndarray], pace: int | None):
        """pace: play it in real time at this rate, in Hz."""
        self._pieces, self._pace = pieces, pace
        # Its put may be called by a signal in the middle of its get.
        self._heard: queue.SimpleQueue[tuple[float, np.ndarray | None]] = queue.SimpleQueue()
        self._room = threading.Semaphore(_WAITING)
        self.error: Exception | None = None
        self.ended = 0.0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        start, samples = time.monotonic(), 0
        try:
            for piece in self._pieces:
                # Played, a file comes in the pieces that a sound card would give.
                step = self._pace // 100 if self._pace else max(len(piece), 1)
                for i in range(0, len(piece), max(step, 1)):
                    part = piece[i : i + max(step, 1)]
                    samples += len(part)
                    if self._pace:
                        time.sleep(max(0.0, start + samples / self._pace - time.monotonic()))
                    self._room.acquire()
                    self._heard.put((time.monotonic(), part))
        except Exception as error:  # The thread that draws raises it, in the end.
            self.error = error
        self.end()

    def end(self) -> None:
        """Nothing is heard after this."""
        self._heard.put((time.monotonic(), None))

    def waiting(self) -> bool:
        """Whether the next piece is there already."""
        return not self._heard.empty()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        while True:
            self.ended, piece = self._heard.get()
            if piece is None:
                return
            self._room.release()
            yield self.ended, piece


class Live:
    """One still under sound that comes, and how long each frame took after the last of its sound.

    The sound of a frame is its window at the model's rate: what the resampler holds back has not
    come yet.
    """

    def __init__(self, animator: Any, still: np.ndarray, rate: int, seed: int, file: bool):
        """rate: of the sound, in Hz; file: all of it is there already."""
        from s2f_jax.inference.session import CHUNK  # JAX takes seconds to import.

        g = animator.generator
        self._stride, self._bulk = g.stride, CHUNK * g.stride
        self._rate, self._new_rate, self._file = rate, animator.rate, file
        self._stream = animator.stream(still, aligned=True, seed=seed)
        self.look_ahead = self._stream.look_ahead
        self._margin = round(self.look_ahead * animator.rate)
        self._resample = Resampler(rate, animator.rate)
        self.resampling = resampling_delay(rate, animator.rate)
        self._waiting = np.zeros(0, np.float32)
        self._heard = 0  # Samples.
        self._ready = self._pushed = 0  # At the model's rate.
        self._frames = 0
        self._first = self._last = 0.0  # When the first and the last piece came.
        self._latest = 0  # Samples of the last piece.
        self._arrivals: collections.deque[tuple[int, float]] = collections.deque()
        self._shown: collections.deque[float] = collections.deque()  # Of frames on their way out.
        self._latencies = array.array("d")
        self._drawing, self._delay = 0.0, 0.0
        self._finish: Callable[[np.ndarray], np.ndarray] | None = None

    def run(
        self,
        ears: TimestampedAudioReader,
        sink: Sink,
        finish: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """Until the sound ends; finish: what else is done to frames [k, H, W, 3].

        Raises BrokenPipeError where nobody reads.
        """
        self._delay, self._finish = sink.delay, finish
        for arrival, samples in ears:
            self.hear(arrival, samples, sink)
            if self._is_file() and len(self._waiting) < self._bulk and ears.waiting():
                continue
            while self.step(sink):
                pass
        self.end(ears.ended, sink)

    def hear(self, arrival: float, samples: np.ndarray, sink: Sink) -> None:
        """What came at a time of time.monotonic(), mono float32 [S] in [-1, 1]."""
        self._first = arrival if not self._heard else self._first
        self._last, self._latest = arrival, len(samples)
        self._heard += len(samples)
        self._arrive(self._resample(samples), arrival)
        sink.write_audio(samples)

    def step(self, sink: Sink, bulk: bool = True) -> bool:
        """Draws the next frame, or with bulk those of the next second where so much sound waits;
        whether there was any to draw."""
        size = self._next_size(bulk)
        if len(self._waiting) < size:
            return False
        piece, self._waiting = self._waiting[:size], self._waiting[size:]
        self._pushed += size
        self._show(self._timed(lambda: self._stream.push(piece)), sink)
        return True

    def end(self, ended: float, sink: Sink) -> None:
        """Nothing comes after this time: the frames that are left, and the end of the video."""
        self._arrive(self._resample(np.zeros(0, np.float32), last=True), ended)
        self._arrivals.append((sys.maxsize, ended))
        self._show(self._timed(lambda: self._stream.push(self._waiting)), sink)
        self._show(self._timed(self._stream.flush), sink)
        sink.close()
        self._count(len(self._shown))

    @property
    def behind(self) -> float:
        """Seconds of sound that are there and wait to be drawn."""
        return len(self._waiting) / self._new_rate

    def _next_size(self, bulk: bool) -> int:
        """The sound that completes the next frame, or of a file those of the next second."""
        frames = max(0, (self._pushed - self._margin) // self._stride)
        to_frame = self._margin + (frames + 1) * self._stride - self._pushed
        to_second = to_frame + self._bulk - self._stride
        enough = len(self._waiting) >= to_second
        return to_second if bulk and (self._file or (enough and self._is_file())) else to_frame

    def _timed(self, draw: Callable[[], np.ndarray]) -> np.ndarray:
        start = time.monotonic()
        frames = draw()
        if self._finish is not None and len(frames):
            frames = self._finish(frames)
        self._drawing += time.monotonic() - start
        return frames

    def _arrive(self, ready: np.ndarray, arrival: float) -> None:
        self._ready += len(ready)
        self._arrivals.append((self._ready, arrival))
        self._waiting = np.concatenate([self._waiting, ready])

    def _is_file(self) -> bool:
        """Whether more has been heard than anybody can have said; a second is then drawn at once,
        which is faster."""
        return self._file or self._heard / self._rate - (time.monotonic() - self._first) > _AHEAD

    def _show(self, frames: np.ndarray, sink: Sink) -> None:
        for frame in frames:
            self._frames += 1
            needed = self._frames * self._stride + self._margin
            while self._arrivals[0][0] < needed:
                self._arrivals.popleft()
            self._shown.append(self._arrivals[0][1])
            sink.write_frame(frame)
            self._count(sink.out - len(self._latencies))

    def _count(self, frames: int) -> None:
        """So many more have left."""
        now = time.monotonic()
        for _ in range(frames):
            self._latencies.append(now - self._shown.popleft())

    def report(self) -> dict[str, Any]:
        """The figures; latencies are None where no frame was written, and sound_speed where the
        sound came in one piece."""
        latencies = np.asarray(self._latencies)
        seconds, frame = self._heard / self._rate, self._stride / self._new_rate
        spread = {
            name: round(1000 * float(np.quantile(latencies, share)), 2) if len(latencies) else None
            for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        }
        # The last piece began to be spoken before it came.
        span = self._last - self._first
        speed = (seconds - self._latest / self._rate) / span if span > 0 else None
        return {
            "frames": len(latencies),
            "sound_s": seconds,
            "look_ahead_ms": 1000 * self.look_ahead,
            "resampling_ms": 1000 * self.resampling,
            "format_ms": 1000 * self._delay,
            "latency_ms": spread,
            "late": int((latencies > frame + self._delay).sum()),
            "late_after_ms": 1000 * (frame + self._delay),
            "real_time_factor": self._drawing / seconds if seconds else None,
            "sound_speed": speed,
        }


def resampling_delay(rate: int, new_rate: int) -> float:
    """Seconds of sound that resampling holds back at most, measured on pieces of 10 ms."""
    resample, heard, given, most = Resampler(rate, new_rate), 0, 0, 0.0
    piece = np.zeros(max(rate // 100, 1), np.float32)
    for _ in range(200):
        heard += len(piece)
        given += len(resample(piece))
        most = max(most, heard / rate - given / new_rate)
    return most
