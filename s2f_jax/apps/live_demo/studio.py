"""What all visitors of the live page share: the model, its thread, and a number of places."""

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
from s2f_jax.apps.live_demo.limits import Limits
from s2f_jax.apps.live_demo.talk import Message, Talk
from s2f_jax.apps.live_demo.turns import Turns
from s2f_jax.inference.animator import Animator
from s2f_jax.provenance.marks import ProvenanceRecord

Result = TypeVar("Result")


class Studio:
    """Until `close`."""

    def __init__(
        self,
        animator: Animator,
        mark: ProvenanceRecord,
        limits: Limits,
        *,
        example: tuple[pathlib.Path, pathlib.Path] | None = None,
        keep: pathlib.Path | None = None,
        badge: bool = False,
        files_only: bool = False,
    ):
        """mark: of videos from this model; example: a picture and a sound file to try it with; keep:
        a folder for every video and its picture, instead of none; files_only: no microphone and no
        camera is asked for.
        """
        self.animator, self.limits = animator, limits
        self._mark, self._example, self._keep, self._badge = mark, example, keep, badge
        self._files_only = files_only
        self.turns = Turns()
        # One at a time: the face model is not to be shared, and a large picture takes memory.
        self._reading = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="reading")
        self._taken = 0

    def close(self) -> None:
        self.turns.close()
        self._reading.shutdown(cancel_futures=True)

    @property
    def full(self) -> str:
        """A sentence, if there is no place; else none."""
        if self._taken < self.limits.sessions:
            return ""
        most = self.limits.sessions
        taken = "The only place is" if most == 1 else f"All {most} places are"
        return f"{taken} taken: wait here until one is free."

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Of one visitor."""
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def welcome(self) -> dict[str, Any]:
        """What a page has to know: the model, the limits, what there is."""
        animator = self.animator
        height, width = animator.size
        return {
            "type": "welcome",
            "model": str(self._mark.model["run"]),
            "step": int(self._mark.model["step"]),
            "width": width,
            "height": height,
            "fps": animator.fps,
            "rate": animator.rate,
            "look_ahead_s": _margin(animator) / animator.rate,
            "limits": dataclasses.asdict(self.limits),
            "example": self._example is not None,
            "kept": self._keep is not None,
            "files_only": self._files_only,
        }

    async def face(self, upload: uploads.Upload) -> uploads.UploadedFace:
        """Raises UserError as uploads.face."""
        return await self._read(lambda: uploads.face(upload, self.animator, self.limits))

    async def sound(self, upload: uploads.Upload) -> uploads.UploadedSound:
        """Raises UserError as uploads.sound."""
        return await self._read(lambda: uploads.sound(upload, self.limits))

    async def example(self, what: str) -> uploads.Upload:
        """what: face or sound. Raises UserError where there is none."""
        if self._example is None:
            raise UserError("This model comes without an example: choose a file of your own.")
        path = self._example[what == "sound"]
        return uploads.Upload(path.name, await self._read(path.read_bytes))

    def talk(
        self,
        face: uploads.UploadedFace,
        sound: uploads.Upload | None,
        rate: int,
        seed: int,
        send: Callable[[Talk, Message], None],
        done: Callable[[Talk], None],
    ) -> Talk:
        """The face under a file's sound, or without one under what is spoken; `turns` may begin."""
        inputs = {"image": face.upload.origin} | ({"audio": sound.origin} if sound else {})
        mark = dataclasses.replace(self._mark, seed=seed, inputs=inputs)
        options = {"file": sound is not None, "badge": self._badge, "send": send, "done": done}
        return Talk(self.animator, face, rate, mark, **options)

    async def keep(self, talk: Talk) -> None:
        """Writes a video, what made it, and its picture, if that was asked for.

        Raises UserError where it cannot be written.
        """
        if self._keep is not None:
            await asyncio.to_thread(_write, self._keep, talk)

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)


def warm_up(animator: Animator) -> None:
    """Compiles what draws one frame and what draws a second of them: seconds, on a first visit."""
    stream = animator.stream(np.zeros((*animator.size, 3), np.uint8), aligned=True)
    stream.push(np.zeros(2 * animator.rate, np.float32))
    stream.flush()


def _margin(animator: Animator) -> int:
    g = animator.generator
    return training_examples.audio_margins(g.window, g.stride)[1]


def _write(folder: pathlib.Path, talk: Talk) -> None:
    now = datetime.datetime.now(datetime.UTC)
    stem = folder / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    video = f"{stem}.mp4"
    files.write_atomically(video, talk.video)
    talk.mark.write_sidecar(video, talk.report["frames"], talk.fps)
    with Image.open(io.BytesIO(talk.face.upload.data)) as picture:
        ending = str(picture.format).lower()
    files.write_atomically(f"{stem}.{ending}", talk.face.upload.data)
