"""What all visitors of the live demo share: the model, its thread, and the number of places."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import datetime
import io
import pathlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import training_examples
from s2f_jax.apps.live_demo import uploads
from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.apps.live_demo.talk import LiveVideo, Message
from s2f_jax.apps.live_demo.turns import RoundRobinScheduler
from s2f_jax.inference.animator import Animator
from s2f_jax.provenance.marks import ProvenanceRecord

Result = TypeVar("Result")


@dataclasses.dataclass(eq=False)
class DemoService:
    """The model and the threads that serve all visitors, until `close`.

    Attributes:
      animator: The model.
      mark: Provenance of videos from this model.
      limits: Limits on what visitors may take.
      example: A picture and an audio file to try the model with; None: there are none.
      keep_folder: Folder to keep every video and its picture in; None: none is kept.
      badge: Whether videos carry a small visible mark that they are synthetic.
      files_only: Whether pages ask for no microphone and no camera.
    """

    animator: Animator
    mark: ProvenanceRecord
    limits: DemoLimits
    example: tuple[pathlib.Path, pathlib.Path] | None = None
    keep_folder: pathlib.Path | None = None
    badge: bool = False
    files_only: bool = False

    def __post_init__(self):
        self.scheduler = RoundRobinScheduler()
        # One thread: the face model must not be shared, and a large picture takes memory.
        self._reader = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="reading")
        self._visitors = 0

    def close(self) -> None:
        """Ends the threads."""
        self.scheduler.close()
        self._reader.shutdown(cancel_futures=True)

    @property
    def full_message(self) -> str:
        """A sentence for a visitor if all places are taken, else empty."""
        places = self.limits.sessions
        if self._visitors < places:
            return ""
        taken = "The only place is" if places == 1 else f"All {places} places are"
        return f"{taken} taken. This page connects as soon as one is free."

    @contextlib.contextmanager
    def visitor(self) -> Iterator[None]:
        """Occupies a visitor's place while the context is open.

        Yields:
          Nothing.
        """
        self._visitors += 1
        try:
            yield
        finally:
            self._visitors -= 1

    def welcome_message(self) -> dict[str, Any]:
        """Describes the model, the limits and the options to a page.

        Returns:
          The `welcome` message.
        """
        animator = self.animator
        height, width = animator.size
        return {
            "type": "welcome",
            "model": str(self.mark.model["run"]),
            "step": int(self.mark.model["step"]),
            "width": width,
            "height": height,
            "fps": animator.fps,
            "rate": animator.rate,
            "look_ahead_s": _look_ahead_samples(animator) / animator.rate,
            "limits": dataclasses.asdict(self.limits),
            "example": self.example is not None,
            "kept": self.keep_folder is not None,
            "files_only": self.files_only,
        }

    async def in_reader(self, read: Callable[[], Result]) -> Result:
        """Runs a function in the reading thread.

        Args:
          read: Reads a file.

        Returns:
          The function's result.
        """
        return await asyncio.get_running_loop().run_in_executor(self._reader, read)

    async def read_example(self, kind: str) -> uploads.Upload:
        """Reads the example that comes with the model.

        Args:
          kind: face or sound.

        Returns:
          The example as if it had been uploaded.

        Raises:
          UserError: The model comes without one.
        """
        if self.example is None:
            raise UserError("This model comes without an example: choose a file of your own.")
        path = self.example[kind == "sound"]
        return uploads.Upload(path.name, await self.in_reader(path.read_bytes))

    def new_video(
        self,
        face: uploads.UploadedFace,
        sound: uploads.Upload | None,
        rate: int,
        seed: int,
        send: Callable[[LiveVideo, Message], None],
        done: Callable[[LiveVideo], None],
    ) -> LiveVideo:
        """Makes a video job, which is not added to the scheduler yet.

        Args:
          face: The picture that is animated.
          sound: The audio file; None: the microphone.
          rate: Rate of the audio, in Hz.
          seed: Seed of the spontaneous motion.
          send: Sends a message to the page, as in LiveVideo.
          done: Called at the end of the video, as in LiveVideo.

        Returns:
          The job.
        """
        inputs = {"image": face.upload.origin} | ({"audio": sound.origin} if sound else {})
        return LiveVideo(
            self.animator,
            face,
            rate,
            dataclasses.replace(self.mark, seed=seed, inputs=inputs),
            from_file=sound is not None,
            badge=self.badge,
            send=send,
            done=done,
        )

    async def keep(self, video: LiveVideo) -> None:
        """Writes a video, its provenance and its picture into the folder of kept videos, if any.

        Args:
          video: A video that is done.

        Raises:
          UserError: The video cannot be written.
        """
        if self.keep_folder is not None:
            await asyncio.to_thread(_write, self.keep_folder, video)


def warm_up(animator: Animator) -> None:
    """Compiles the programs for one frame and for a second of frames before the first visit.

    Args:
      animator: The model.
    """
    stream = animator.stream(np.zeros((*animator.size, 3), np.uint8), aligned=True)
    stream.push(np.zeros(2 * animator.rate, np.float32))
    stream.flush()


def _look_ahead_samples(animator: Animator) -> int:
    g = animator.generator
    return training_examples.audio_margins(g.window, g.stride)[1]


def _write(folder: pathlib.Path, video: LiveVideo) -> None:
    now = datetime.datetime.now(datetime.UTC)
    stem = folder / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    path = f"{stem}.mp4"
    files.write_atomically(path, video.video)
    video.mark.write_sidecar(path, video.report["frames"], video.animator.fps)
    with Image.open(io.BytesIO(video.face.upload.data)) as picture:
        extension = str(picture.format).lower()
    files.write_atomically(f"{stem}.{extension}", video.face.upload.data)
