"""One visitor: a socket, a face, one video at a time.

The socket is the session: nothing names it, so that there is nothing to steal, and what is sent on
it reaches the page that opened it and no other.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from data_pipelines.common.errors import UserError
from data_pipelines.media import images
from data_pipelines.media.sound import to_mono_float
from s2f_jax.apps.live_demo import uploads
from s2f_jax.apps.live_demo.studio import Studio
from s2f_jax.apps.live_demo.talk import Message, Talk
from s2f_jax.apps.server import messages
from s2f_jax.apps.server.allowance import Allowance
from s2f_jax.apps.server.messages import Malformed
from s2f_jax.rngs import SEEDS

_DONE, _BROKEN, _FULL = 1000, 1008, 1013  # Codes of sockets that we close.
_LOWEST, _HIGHEST = 8000, 192_000  # Hz, of a microphone.
_PER_MINUTE = 600  # Messages but bytes; a page says some in a minute.
_UNREAD = 1000  # Messages that wait to be read: of more, somebody asks and does not listen.
_TOO_LATE = 5  # Seconds of sound that may still come from a page that was told that it is enough.


class _Over(Exception):
    """The session is; why: a sentence for the page, or nothing."""

    def __init__(self, code: int, why: str):
        self.code, self.why = code, why


class _Coming(NamedTuple):
    """A file of which not all is there."""

    what: str  # face or sound.
    name: str
    size: int  # Bytes.
    seed: int
    data: bytearray


class Session:
    """Of one socket, until it is closed."""

    def __init__(self, socket: WebSocket, studio: Studio):
        self._socket, self._studio = socket, studio
        self._loop = asyncio.get_running_loop()
        self._out: asyncio.Queue[tuple[Talk | None, Message | Talk]] = asyncio.Queue()
        self._face: uploads.UploadedFace | None = None
        self._talk: Talk | None = None
        self._free = asyncio.Event()  # Set when a talk has ended.
        self._coming: _Coming | None = None
        self._allowance = Allowance(_PER_MINUTE, time.monotonic)
        self._rate = 0  # Of the microphone that is on; 0: none is.
        self._room = 0  # Samples that may still be spoken.
        self._on: dict[str, Callable[[dict[str, Any]], Any]] = {
            "face": self._on_file,
            "sound": self._on_file,
            "example": self._on_example,
            "speak": self._on_speak,
            "end": self._on_end,
            "stop": self._on_stop,
            "alive": lambda message: None,
        }

    async def run(self) -> None:
        """Serves it. A page that breaks the rules is told so, and its socket alone is closed."""
        await self._socket.accept()
        if full := self._studio.full:
            await self._close(_Over(_FULL, full), "full")
            return
        over = _Over(_DONE, "")
        with self._studio.place():
            self._say(self._studio.welcome())
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._send_all)
                    tasks.start_soon(self._listen)
            except* _Over as group:
                over = group.exceptions[0]
            except* WebSocketDisconnect:
                over = None
            finally:
                await self._leave()
        if isinstance(over, _Over):
            await self._close(over, "bye")

    async def _leave(self) -> None:
        """Nothing is drawn any more for who has left; what is being drawn ends first."""
        if self._talk is not None:
            self._stop(self._talk)
            with anyio.CancelScope(shield=True):
                await self._free.wait()

    async def _close(self, over: _Over, kind: str) -> None:
        # Who has left, or does not read, is not told.
        with contextlib.suppress(WebSocketDisconnect, TimeoutError):
            with anyio.fail_after(self._studio.limits.stalled_seconds):
                if over.why:
                    await self._socket.send_json({"type": kind, "text": over.why})
                await self._socket.close(over.code)

    # What the page says.

    async def _listen(self) -> None:
        idle = self._studio.limits.idle_seconds
        while True:
            try:
                with anyio.fail_after(idle):
                    message = await self._socket.receive()
            except TimeoutError:
                if self._talk is not None and self._talk.file:
                    continue  # It is being watched.
                raise _Over(
                    _DONE, f"Nothing came for {idle} s, so that your place is free for others."
                ) from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            await asyncio.sleep(0)  # Others have their turn, however much is there to be read.
            try:
                if message.get("text") is not None:
                    self._check_pace()
                    await self._on_text(messages.parse_message(message["text"]))
                else:
                    await self._on_bytes(message["bytes"])
            except Malformed as error:
                raise _Over(
                    _BROKEN, f"This page sent what it never should ({error}): load it again."
                ) from error
            if self._out.qsize() > _UNREAD:
                raise _Over(_DONE, "")  # Who does not read, is not told either.

    def _check_pace(self) -> None:
        if self._allowance.wait(""):
            raise _Over(_BROKEN, "This page sent more messages than any should: load it again.")

    async def _on_text(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind not in self._on:
            raise Malformed("a message of an unknown type")
        if self._coming is not None and kind not in ("stop", "alive"):
            raise Malformed("a message in the middle of a file")
        answer = self._on[kind](message)
        if answer is not None:
            await answer

    def _on_file(self, message: dict[str, Any]) -> None:
        what, most = message["type"], self._studio.limits.upload_bytes
        size = messages.number(message, "bytes", 0, 2**53)
        seed = messages.number(message, "seed", 0, SEEDS - 1) if what == "sound" else 0
        name = messages.name(message)
        if what == "sound":
            self._check_free()
        if not size:
            self._mistake(what, f"{name} is empty: choose another file.")
        elif size > most:
            self._mistake(
                what,
                f"{name} has {size / 1e6:.1f} MB, more than the"
                f" {self._studio.limits.upload_mb} that are taken: choose a smaller file.",
            )
        else:
            self._coming = _Coming(what, name, size, seed, bytearray())
            self._say({"type": "go", "about": what})

    async def _on_bytes(self, data: bytes) -> None:
        if self._coming is not None:
            coming = self._coming
            coming.data.extend(data)
            if len(coming.data) > coming.size:
                raise Malformed("a file longer than it said")
            if len(coming.data) == coming.size:
                self._coming = None
                await self._came(coming)
        elif self._rate:
            self._spoken(data)
        else:
            raise Malformed("bytes that were not announced")

    async def _came(self, coming: _Coming) -> None:
        upload = uploads.Upload(coming.name, bytes(coming.data))
        try:
            if coming.what == "face":
                self._show_face(await self._studio.face(upload))
            else:
                await self._speak_file(upload, coming.seed)
        except UserError as error:
            self._mistake(coming.what, str(error))

    async def _on_example(self, message: dict[str, Any]) -> None:
        what = message.get("what")
        if what not in ("face", "sound"):
            raise Malformed("an example of an unknown kind")
        seed = messages.number(message, "seed", 0, SEEDS - 1) if what == "sound" else 0
        try:
            upload = await self._studio.example(what)
            if what == "face":
                self._show_face(await self._studio.face(upload))
            else:
                self._check_free()
                await self._speak_file(upload, seed)
        except UserError as error:
            self._mistake(what, str(error))

    def _show_face(self, face: uploads.UploadedFace) -> None:
        self._face = face
        self._say(face.told)
        self._say(messages.packed(messages.CROP, images.encode_png(face.still)))

    async def _speak_file(self, upload: uploads.Upload, seed: int) -> None:
        sound = await self._studio.sound(upload)
        talk = self._new_talk(sound.rate, seed, upload)
        self._say({"type": "sound", "rate": sound.played_rate, "samples": len(sound.played)})
        for part in messages.in_parts(messages.SOUND, sound.played.tobytes()):
            self._say(part)
        talk.hear(sound.samples)
        talk.end()
        self._studio.turns.enter(talk)

    def _on_speak(self, message: dict[str, Any]) -> None:
        rate = messages.number(message, "rate", _LOWEST, _HIGHEST)
        seed = messages.number(message, "seed", 0, SEEDS - 1)
        self._check_free()
        talk = self._new_talk(rate, seed, None)
        self._rate, self._room = rate, rate * self._studio.limits.sound_seconds
        self._studio.turns.enter(talk)

    def _spoken(self, data: bytes) -> None:
        if len(data) % 2:
            raise Malformed("half a sample")
        samples = np.frombuffer(data, "<i2")
        if self._room + _TOO_LATE * self._rate < len(samples):
            raise Malformed("sound without an end")
        taken = samples[: max(self._room, 0)]
        self._room -= len(samples)
        if self._talk is not None and len(taken):
            self._talk.hear(to_mono_float(taken))
            if self._room <= 0:
                self._talk.end()
            self._studio.turns.wake(self._talk)

    def _on_end(self, message: dict[str, Any]) -> None:
        if self._talk is not None and self._rate:
            self._talk.end()
            self._studio.turns.wake(self._talk)
        self._rate = 0

    def _on_stop(self, message: dict[str, Any]) -> None:
        self._coming, self._rate = None, 0
        if self._talk is None:
            self._say({"type": "stopped"})
        else:
            self._stop(self._talk)

    def _stop(self, talk: Talk) -> None:
        talk.stop()
        self._studio.turns.wake(talk)

    def _check_free(self) -> None:
        if self._talk is not None:
            raise Malformed("two videos at once")
        if self._face is None:
            raise Malformed("a sound without a face")

    def _new_talk(self, rate: int, seed: int, sound: uploads.Upload | None) -> Talk:
        assert self._face is not None
        out, loop = self._out, self._loop

        def send(talk: Talk, message: Message) -> None:
            loop.call_soon_threadsafe(out.put_nowait, (talk, message))

        def done(talk: Talk) -> None:
            loop.call_soon_threadsafe(self._finished, talk)

        self._free.clear()
        self._talk = self._studio.talk(self._face, sound, rate, seed, send, done)
        return self._talk

    # What it is told.

    def _say(self, message: Message) -> None:
        self._out.put_nowait((None, message))

    def _mistake(self, about: str, text: str) -> None:
        self._say({"type": "error", "about": about, "text": text})

    def _finished(self, talk: Talk) -> None:
        self._studio.turns.leave(talk)
        self._talk = None
        self._free.set()
        if talk.stopped:
            self._say({"type": "stopped"})
        elif talk.failure:
            self._mistake("sound", talk.failure)
        else:
            self._out.put_nowait((talk, talk))

    async def _send_all(self) -> None:
        while True:
            talk, message = await self._out.get()
            if isinstance(message, Talk):
                await self._deliver(message)
            elif talk is None or not talk.stopped:
                await self._send(message)
            if talk is not None and isinstance(message, bytes):
                talk.sent()
                self._studio.turns.wake(talk)

    async def _send(self, message: Message) -> None:
        try:
            with anyio.fail_after(self._studio.limits.stalled_seconds):
                if isinstance(message, bytes):
                    await self._socket.send_bytes(message)
                else:
                    await self._socket.send_json(message)
        except TimeoutError:
            raise _Over(_DONE, "") from None  # Who does not read, is not told either.

    async def _deliver(self, talk: Talk) -> None:
        assert self._face is not None
        try:
            await self._studio.keep(talk)
        except UserError as error:
            self._mistake("keep", str(error))
        video = talk.video
        await self._send({"type": "done", "bytes": len(video), **talk.report})
        for part in messages.in_parts(messages.VIDEO, video):
            await self._send(part)
