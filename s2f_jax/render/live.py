"""Generation from live audio: frames as soon as they are due, and how late each was."""

import array
import collections
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from data_pipelines.media.sound import Resampler
from s2f_jax.render.video_sinks import VideoSink

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator

_MAX_QUEUED = 64  # Pieces of audio that may wait; a file would be read whole otherwise.
# Seconds of audio that no pipe buffers: what is further ahead of real time comes from a file.
_MAX_LIVE_LEAD = 5.0


class TimestampedAudioReader:
    """Reads audio in a thread of its own and notes when each piece arrived.

    Generation, which the main thread does, cannot hide how long a piece had to wait.

    Attributes:
      error: What is wrong with the audio, once it has ended.
      end_time: Reading of time.monotonic() when the audio ended.

    Args:
      pieces: Mono float32 [S] in [-1, 1].
      pace: Rate in Hz at which to play the audio in real time; None to read it as fast as it comes.
    """

    def __init__(self, pieces: Iterator[np.ndarray], pace: int | None):
        self._pieces, self._pace = pieces, pace
        # A signal handler may call its put in the middle of its get, which Queue cannot take.
        self._queue: queue.SimpleQueue[tuple[float, np.ndarray | None]] = queue.SimpleQueue()
        self._free_slots = threading.Semaphore(_MAX_QUEUED)
        self.error: Exception | None = None
        self.end_time = 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        start, samples = time.monotonic(), 0
        try:
            for piece in self._pieces:
                # A file that is played comes in pieces of 10 ms, like a sound card's.
                step = max(self._pace // 100 if self._pace else len(piece), 1)
                for i in range(0, len(piece), step):
                    part = piece[i : i + step]
                    samples += len(part)
                    if self._pace:
                        time.sleep(max(0.0, start + samples / self._pace - time.monotonic()))
                    self._free_slots.acquire()
                    self._queue.put((time.monotonic(), part))
        except Exception as error:  # The caller raises it once the frames are written.
            self.error = error
        self.end()

    def end(self) -> None:
        """Ends the audio; what arrives later is ignored."""
        self._queue.put((time.monotonic(), None))

    def has_pending(self) -> bool:
        """Whether the next piece has arrived already.

        Returns:
          False where iteration would block.
        """
        return not self._queue.empty()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        while True:
            arrival, piece = self._queue.get()
            if piece is None:
                self.end_time = arrival
                return
            self._free_slots.release()
            yield arrival, piece


class LiveGeneration:
    """Animates one still with live audio and measures each frame's latency.

    A frame's latency counts from the arrival of the last audio that it needs: its window at the
    model's rate, to which the resampler adds a delay of its own.

    Attributes:
      rate: Rate of the audio, Hz.
      look_ahead: Seconds of audio after its own that a frame waits for.
      resampling_delay: Seconds of audio that the resampler holds back, at most.

    Args:
      animator: The model.
      still: uint8 [H, W, 3] of the model's size.
      rate: Rate of the audio, Hz.
      seed: Seed of the spontaneous motion.
      file: Whether all of the audio is there already; then frames are generated in chunks.
    """

    def __init__(self, animator: "Animator", still: np.ndarray, rate: int, seed: int, file: bool):
        from s2f_jax.inference.session import CHUNK_FRAMES  # Imports JAX: seconds.

        stride = animator.generator.stride
        self._stride, self._chunk_samples = stride, CHUNK_FRAMES * stride
        self.rate, self._model_rate, self._file = rate, animator.rate, file
        self._session = animator.start_session(still, seed)
        self.look_ahead = self._session.look_ahead
        self._margin = round(self.look_ahead * animator.rate)
        self._resample = Resampler(rate, animator.rate)
        self.resampling_delay = measure_resampling_delay(rate, animator.rate)
        self._pending = np.zeros(0, np.float32)  # At the model's rate, like the next two.
        self._resampled_count = self._pushed_count = 0
        self._received_count = self._last_piece_count = 0  # At the audio's rate.
        self._frame_count = 0
        self._first_arrival = self._last_arrival = 0.0
        # How much audio had arrived when, at the model's rate.
        self._arrivals: collections.deque[tuple[int, float]] = collections.deque()
        # When the audio of each frame that the sink still holds was complete.
        self._in_sink: collections.deque[float] = collections.deque()
        self._latencies = array.array("d")
        self._generation_seconds, self._sink_delay = 0.0, 0.0
        self._postprocess: Callable[[np.ndarray], np.ndarray] | None = None

    def run(
        self,
        reader: TimestampedAudioReader,
        sink: VideoSink,
        postprocess: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """Generates until the audio ends.

        Args:
          reader: Reader of the audio.
          sink: Sink of the video; it is closed in the end.
          postprocess: Maps generated frames to those of the video, both uint8 [k, H, W, 3].

        Raises:
          BrokenPipeError: Whoever reads the video has closed it.
        """
        self._sink_delay, self._postprocess = sink.delay, postprocess
        for arrival, samples in reader:
            self.receive(arrival, samples, sink)
            chunk_missing = len(self._pending) < self._chunk_samples
            if self._is_file() and chunk_missing and reader.has_pending():
                continue
            while self.step(sink):
                pass
        self.finish(reader.end_time, sink)

    def receive(self, arrival: float, samples: np.ndarray, sink: VideoSink) -> None:
        """Takes a piece of audio.

        Args:
          arrival: When it arrived, of time.monotonic().
          samples: Mono float32 [S] in [-1, 1].
          sink: Sink of the video, which takes the audio too.
        """
        self._first_arrival = self._first_arrival if self._received_count else arrival
        self._last_arrival, self._last_piece_count = arrival, len(samples)
        self._received_count += len(samples)
        self._add_resampled(self._resample(samples), arrival)
        sink.write_audio(samples)

    def step(self, sink: VideoSink, allow_chunk: bool = True) -> bool:
        """Generates the next frame, or the next chunk where that much audio waits.

        Args:
          sink: Sink of the video.
          allow_chunk: Whether several frames may be generated in one call.

        Returns:
          Whether there was audio for a frame.
        """
        size = self._next_size(allow_chunk)
        if len(self._pending) < size:
            return False
        piece, self._pending = self._pending[:size], self._pending[size:]
        self._pushed_count += size
        self._write(self._timed(lambda: self._session.push(piece[None])), sink)
        return True

    def finish(self, end_time: float, sink: VideoSink) -> None:
        """Generates the remaining frames and closes the video.

        Args:
          end_time: When the audio ended, of time.monotonic().
          sink: Sink of the video.
        """
        self._add_resampled(self._resample(np.zeros(0, np.float32), last=True), end_time)
        self._arrivals.append((sys.maxsize, end_time))
        self._write(self._timed(lambda: self._session.push(self._pending[None])), sink)
        self._write(self._timed(self._session.flush), sink)
        sink.close()
        self._record_latencies(len(self._in_sink))

    @property
    def backlog(self) -> float:
        """Seconds of audio that have arrived and wait for their frames."""
        return len(self._pending) / self._model_rate

    def _next_size(self, allow_chunk: bool) -> int:
        # Samples that complete the next frame's window, or that of a chunk's last frame.
        frames = max(0, (self._pushed_count - self._margin) // self._stride)
        for_frame = self._margin + (frames + 1) * self._stride - self._pushed_count
        for_chunk = for_frame + self._chunk_samples - self._stride
        enough = len(self._pending) >= for_chunk
        in_chunks = self._file or (enough and self._is_file())
        return for_chunk if allow_chunk and in_chunks else for_frame

    def _timed(self, generate: Callable[[], np.ndarray]) -> np.ndarray:
        start = time.monotonic()
        frames = generate()[0]
        if self._postprocess is not None and len(frames):
            frames = self._postprocess(frames)
        self._generation_seconds += time.monotonic() - start
        return frames

    def _add_resampled(self, samples: np.ndarray, arrival: float) -> None:
        self._resampled_count += len(samples)
        self._arrivals.append((self._resampled_count, arrival))
        self._pending = np.concatenate([self._pending, samples])

    def _is_file(self) -> bool:
        # More audio than anybody can have spoken by now; chunks are faster then.
        lead = self._received_count / self.rate - (time.monotonic() - self._first_arrival)
        return self._file or lead > _MAX_LIVE_LEAD

    def _write(self, frames: np.ndarray, sink: VideoSink) -> None:
        for frame in frames:
            self._frame_count += 1
            needed = self._frame_count * self._stride + self._margin
            while self._arrivals[0][0] < needed:
                self._arrivals.popleft()
            self._in_sink.append(self._arrivals[0][1])
            sink.write_frame(frame)
            self._record_latencies(sink.frames_out - len(self._latencies))

    def _record_latencies(self, frames: int) -> None:
        now = time.monotonic()
        for _ in range(frames):
            self._latencies.append(now - self._in_sink.popleft())

    def report(self) -> dict[str, Any]:
        """Summarizes the latencies so far.

        Returns:
          A JSON object. Latencies are None where no frame was written, and sound_speed is None where
          the audio came in one piece.
        """
        latencies = np.asarray(self._latencies)
        seconds, frame = self._received_count / self.rate, self._stride / self._model_rate
        quantiles = {
            name: round(1000 * float(np.quantile(latencies, share)), 2) if len(latencies) else None
            for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        }
        # The last piece began to be spoken before it arrived.
        span = self._last_arrival - self._first_arrival
        spoken = seconds - self._last_piece_count / self.rate
        return {
            "frames": len(latencies),
            "sound_s": seconds,
            "look_ahead_ms": 1000 * self.look_ahead,
            "resampling_ms": 1000 * self.resampling_delay,
            "format_ms": 1000 * self._sink_delay,
            "latency_ms": quantiles,
            "late": int((latencies > frame + self._sink_delay).sum()),
            "late_after_ms": 1000 * (frame + self._sink_delay),
            "real_time_factor": self._generation_seconds / seconds if seconds else None,
            "sound_speed": spoken / span if span > 0 else None,
        }


def measure_resampling_delay(rate: int, new_rate: int) -> float:
    """Measures how much audio the resampler holds back, on pieces of 10 ms.

    Args:
      rate: Sampling rate in Hz.
      new_rate: New sampling rate in Hz.

    Returns:
      Seconds, at most.
    """
    resample, received, returned, delay = Resampler(rate, new_rate), 0, 0, 0.0
    piece = np.zeros(max(rate // 100, 1), np.float32)
    for _ in range(200):
        received += len(piece)
        returned += len(resample(piece))
        delay = max(delay, received / rate - returned / new_rate)
    return delay
