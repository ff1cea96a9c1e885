"""One video of one visitor: frames as they are due, and an mp4 in the end."""

import dataclasses
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

_MAX_UNSENT = 50  # Frames: generation waits for a visitor who reads slowly.
_STATUS_SECONDS = 0.5

Message = dict[str, Any] | bytes


class FrameSender(VideoWriter):
    """A sink (video_sinks.VideoSink) that sends each frame to a page and encodes it into an mp4.

    Args:
      animator: The model, which fixes size and frame rate.
      rate: Rate of the audio, in Hz.
      mark: Provenance, written into the mp4's tags.
      badge: Whether frames carry a small visible mark that they are synthetic.
      send: Called with each frame's message.
    """

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
        """Number of frames sent."""
        return self.frame_count

    def write_frame(self, frame: np.ndarray) -> None:
        """Sends and encodes a frame.

        Args:
          frame: uint8 [H, W, 3] RGB.
        """
        if self._badge is not None:
            frame = self._badge(frame[None])[0]
        self._send(messages.pack(messages.FRAME, images.encode_jpeg(frame), self.frames_out))
        super().write_frame(frame)

    @property
    def video(self) -> bytes:
        """The mp4; complete once the sink is closed."""
        return self._file.getvalue()


@dataclasses.dataclass(eq=False)
class LiveVideo:
    """A video in the making, a job (turns.Job): any thread adds audio, one thread does the steps.

    Attributes:
      animator: The model.
      face: The picture that is animated.
      rate: Rate of the audio, in Hz.
      mark: Provenance, written into the mp4's tags.
      from_file: Whether all audio comes at once, rather than as it is spoken.
      badge: Whether frames carry a small visible mark that they are synthetic.
      send: Called by the thread of the steps with each message to the page.
      done: Called by that thread once, in the end, also if it failed or was stopped.
      stopped: Whether it was cancelled.
      report: Figures of the whole video (live.LiveGeneration.report), once it is done.
      failure: Why it failed, a sentence; empty: it did not.
    """

    animator: Animator
    face: UploadedFace
    rate: int
    mark: ProvenanceRecord
    from_file: bool
    badge: bool
    send: Callable[["LiveVideo", Message], None]
    done: Callable[["LiveVideo"], None]
    stopped: bool = False
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    failure: str = ""

    def __post_init__(self):
        self._lock = threading.Lock()
        self._arrived: list[tuple[float, np.ndarray]] = []  # Audio that no step has taken yet.
        self._audio_ended: float | None = None
        self._finished = False
        self._samples = self._unsent = 0
        self._live: LiveGeneration | None = None
        self._sender: FrameSender | None = None
        self._last_status = time.monotonic()

    def add_audio(self, samples: np.ndarray) -> None:
        """Adds audio that arrives now.

        Args:
          samples: Mono float32 [S] in [-1, 1].
        """
        with self._lock:
            self._arrived.append((time.monotonic(), samples))

    def end_audio(self) -> None:
        """Tells that no more audio comes."""
        with self._lock:
            self._audio_ended = time.monotonic()

    def stop(self) -> None:
        """Cancels the video."""
        with self._lock:
            self.stopped = True

    def frame_sent(self) -> None:
        """Tells that a frame has been sent to the page."""
        with self._lock:
            self._unsent -= 1

    @property
    def video(self) -> bytes:
        """The mp4, once it is done."""
        assert self._sender is not None
        return self._sender.video

    def step(self, only_job: bool) -> bool:
        """Takes the audio that has arrived and generates the next frames.

        Args:
          only_job: Whether up to a second may be generated at once, rather than a frame.

        Returns:
          Whether another step could be done at once.
        """
        if self._finished:  # It was woken once more as it ended.
            return False
        with self._lock:
            arrived, self._arrived = self._arrived, []
            ended, stopped, full = self._audio_ended, self.stopped, self._unsent >= _MAX_UNSENT
        try:
            if not stopped:
                return self._generate(arrived, ended, only_job, full)
        except UserError as error:
            self.failure = str(error)
        except Exception:  # A bug ends this visitor's video alone; the console shows it.
            traceback.print_exc()
            self.failure = "The server failed; its console shows the error."
        if self._sender is not None:
            self._sender.abort()
        return self._finish()

    def _generate(
        self,
        arrived: list[tuple[float, np.ndarray]],
        ended: float | None,
        only_job: bool,
        full: bool,
    ) -> bool:
        if self._live is None or self._sender is None:
            animator, rate, mark = self.animator, self.rate, self.mark
            self._sender = FrameSender(animator, rate, mark, self.badge, self._send_frame)
            self._live = LiveGeneration(animator, self.face.still, rate, mark.seed, self.from_file)
        live, sender = self._live, self._sender
        for arrival, samples in arrived:
            self._samples += len(samples)
            live.receive(arrival, samples, sender)
        if full:
            return False  # `frame_sent` is followed by the next step.
        generated = (only_job and live.step(sender)) or live.step(sender, allow_chunk=False)
        if generated or ended is None:
            self._send_status(live)
            return generated
        if not self._samples:
            raise UserError("No audio was recorded: speak before you finish.")
        live.finish(ended, sender)
        self.report = live.report()
        return self._finish()

    def _finish(self) -> bool:
        self._finished = True
        self.done(self)
        return False

    def _send_frame(self, frame: Message) -> None:
        with self._lock:
            self._unsent += 1
        self.send(self, frame)

    def _send_status(self, live: LiveGeneration) -> None:
        now = time.monotonic()
        if now - self._last_status >= _STATUS_SECONDS:
            self._last_status = now
            self.send(self, {"type": "status", "behind_s": live.backlog, **live.report()})
