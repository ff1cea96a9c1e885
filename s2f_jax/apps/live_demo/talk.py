"""One face under one visitor's sound: frames as they are due, in the end the video."""

import fractions
import io
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from data_pipelines.common.errors import UserError
from data_pipelines.media import images
from data_pipelines.media.writer import VideoWriter
from s2f_jax.apps.live_demo.uploads import UploadedFace
from s2f_jax.apps.server import messages
from s2f_jax.inference.animator import Animator
from s2f_jax.provenance.marks import ProvenanceRecord
from s2f_jax.render.live import LiveGeneration

_AHEAD = 50  # Frames that may wait to be sent; who reads slowly is drawn for slowly.
_STATUS_EVERY = 0.5  # Seconds.

Message = dict[str, Any] | bytes


class Screen(VideoWriter):
    """A sink (video_sinks.VideoSink) that gives each picture to a page and keeps it for the video."""

    delay = 0.0

    def __init__(
        self,
        animator: Animator,
        rate: int,
        mark: ProvenanceRecord,
        badge: bool,
        send: Callable[[Message], None],
    ):
        fps = fractions.Fraction(animator.rate, animator.generator.stride)
        self._file, self._send = io.BytesIO(), send
        super().__init__(self._file, *animator.size, fps, rate, mark.metadata)
        self._badge = mark.add_badge if badge else None

    @property
    def frames_out(self) -> int:
        return self.frame_count

    def write_frame(self, frame: np.ndarray) -> None:
        if self._badge is not None:
            frame = self._badge(frame[None])[0]
        self._send(messages.packed(messages.FRAME, images.encode_jpeg(frame), self.frames_out))
        super().write_frame(frame)

    @property
    def video(self) -> bytes:
        """The mp4, once it is closed."""
        return self._file.getvalue()


class Talk:
    """Work (turns.Work): sound is heard by any thread, steps are made by one.

    mark: what the video will say of itself.
    """

    def __init__(
        self,
        animator: Animator,
        face: UploadedFace,
        rate: int,
        mark: ProvenanceRecord,
        *,
        file: bool,
        badge: bool,
        send: Callable[["Talk", Message], None],
        done: Callable[["Talk"], None],
    ):
        """rate: of the sound, in Hz; file: all of it comes at once. send, done: called by the thread
        of the steps; done once, in the end, also where it failed or was stopped.
        """
        self.face, self.mark, self.file, self.fps = face, mark, file, animator.fps
        self._animator, self._rate, self._badge = animator, rate, badge
        self._send, self._done = send, done
        self._lock = threading.Lock()
        self._heard: list[tuple[float, np.ndarray]] = []
        self._ended: float | None = None
        self.stopped = self._over = False
        self._samples = self._unsent = 0
        self._live: LiveGeneration | None = None
        self._screen: Screen | None = None
        self._told = time.monotonic()
        self.report: dict[str, Any] = {}  # In the end that of the whole.
        self.failure = ""  # A sentence.

    def hear(self, samples: np.ndarray) -> None:
        """Mono float32 [S] in [-1, 1] that has come now."""
        with self._lock:
            self._heard.append((time.monotonic(), samples))

    def end(self) -> None:
        """Of the sound."""
        with self._lock:
            self._ended = time.monotonic()

    def stop(self) -> None:
        """Nothing more of it is wanted."""
        with self._lock:
            self.stopped = True

    def sent(self) -> None:
        """A frame has left."""
        with self._lock:
            self._unsent -= 1

    @property
    def video(self) -> bytes:
        """The mp4, once it is done."""
        assert self._screen is not None
        return self._screen.video

    def step(self, alone: bool) -> bool:
        if self._over:  # It was woken once more on its way out.
            return False
        with self._lock:
            heard, self._heard = self._heard, []
            ended, stopped, full = self._ended, self.stopped, self._unsent >= _AHEAD
        try:
            if not stopped:
                return self._step(heard, ended, alone, full)
        except UserError as error:
            self.failure = str(error)
        except Exception:  # This visitor's alone: others go on, and whoever runs it sees why.
            traceback.print_exc()
            self.failure = "Something broke in the program; where it runs, it says what."
        if self._screen is not None:
            self._screen.abort()
        return self._end()

    def _step(
        self, heard: list[tuple[float, np.ndarray]], ended: float | None, alone: bool, full: bool
    ) -> bool:
        if self._live is None or self._screen is None:
            self._screen = Screen(self._animator, self._rate, self.mark, self._badge, self._post)
            self._live = LiveGeneration(
                self._animator, self.face.still, self._rate, self.mark.seed, self.file
            )
        live, screen = self._live, self._screen
        for arrival, samples in heard:
            self._samples += len(samples)
            live.receive(arrival, samples, screen)
        if full:
            return False  # `sent` comes before the next one.
        drawn = (alone and live.step(screen)) or live.step(screen, allow_chunk=False)
        if drawn or ended is None:
            self._tell(live)
            return drawn
        if not self._samples:
            raise UserError("Nothing was heard: speak first, and end it then.")
        live.finish(ended, screen)
        self.report = live.report()
        return self._end()

    def _end(self) -> bool:
        self._over = True
        self._done(self)
        return False

    def _post(self, frame: Message) -> None:
        with self._lock:
            self._unsent += 1
        self._send(self, frame)

    def _tell(self, live: LiveGeneration) -> None:
        now = time.monotonic()
        if now - self._told >= _STATUS_EVERY:
            self._told = now
            self._send(self, {"type": "status", "behind_s": live.backlog, **live.report()})
