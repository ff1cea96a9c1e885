"""One visitor of the live demo: a WebSocket, a face, one video at a time.

The socket is the session: no identifier names it that could be stolen, and what is sent on it reaches
the page that opened it and no other.
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
from s2f_jax.apps.live_demo.studio import DemoService
from s2f_jax.apps.live_demo.talk import LiveVideo, Message
from s2f_jax.apps.server import messages
from s2f_jax.apps.server.allowance import RateLimiter
from s2f_jax.rngs import SEEDS

_NORMAL, _POLICY_VIOLATION, _TRY_AGAIN_LATER = 1000, 1008, 1013  # WebSocket close codes.
_MIN_RATE, _MAX_RATE = 8000, 192_000  # Hz, of a microphone.
_MAX_PER_MINUTE = 600  # Text messages; a page of ours sends a few.
_MAX_UNSENT = 1000  # Messages: beyond that, a client sends requests and reads no replies.
_OVERRUN_SECONDS = 5  # Audio that may still arrive after the longest video.


class _Closed(Exception):
    """Ends the session; reason: a sentence for the page, or empty."""

    def __init__(self, code: int, reason: str):
        self.code, self.reason = code, reason


class _IncomingFile(NamedTuple):
    kind: str  # face or sound.
    name: str
    size: int  # Bytes.
    seed: int
    data: bytearray  # What has arrived of it.


class VisitorSession:
    """The session of one socket, until it is closed.

    Args:
      socket: The page's WebSocket, not accepted yet.
      service: What all visitors share.
    """

    def __init__(self, socket: WebSocket, service: DemoService):
        self._socket, self._service = socket, service
        self._loop = asyncio.get_running_loop()
        # Messages to the page, with their video if they are of one; a finished video itself.
        self._outbox: asyncio.Queue[tuple[LiveVideo | None, Message | LiveVideo]] = asyncio.Queue()
        self._face: uploads.UploadedFace | None = None
        self._video: LiveVideo | None = None
        self._video_ended = asyncio.Event()
        self._incoming: _IncomingFile | None = None
        self._limiter = RateLimiter(_MAX_PER_MINUTE, time.monotonic)
        self._rate = 0  # Hz, of the microphone; 0: it is off.
        self._samples_left = 0  # That may still be spoken.
        self._handlers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "face": self._on_file,
            "sound": self._on_file,
            "example": self._on_example,
            "speak": self._on_speak,
            "end": self._on_end,
            "stop": self._on_stop,
            "alive": lambda message: None,
        }

    async def run(self) -> None:
        """Serves the socket; a page that breaks the protocol has its own socket closed."""
        await self._socket.accept()
        if text := self._service.full_message:
            await self._close(_Closed(_TRY_AGAIN_LATER, text), "full")
            return
        closed = _Closed(_NORMAL, "")
        with self._service.visitor():
            self._post(self._service.welcome_message())
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._send_all)
                    tasks.start_soon(self._receive_all)
            except* _Closed as group:
                closed = group.exceptions[0]
            except* WebSocketDisconnect:
                closed = None
            finally:
                await self._end_video()
        if isinstance(closed, _Closed):
            await self._close(closed, "bye")

    async def _end_video(self) -> None:
        """Stops the video of a visitor who has left, and waits for its last step."""
        if self._video is not None:
            self._stop_video(self._video)
            with anyio.CancelScope(shield=True):
                await self._video_ended.wait()

    async def _close(self, closed: _Closed, kind: str) -> None:
        # The client may have left, or not read.
        with contextlib.suppress(WebSocketDisconnect, TimeoutError):
            with anyio.fail_after(self._service.limits.stalled_seconds):
                if closed.reason:
                    await self._socket.send_json({"type": kind, "text": closed.reason})
                await self._socket.close(closed.code)

    # Messages from the page.

    async def _receive_all(self) -> None:
        idle = self._service.limits.idle_seconds
        while True:
            try:
                with anyio.fail_after(idle):
                    message = await self._socket.receive()
            except TimeoutError:
                if self._video is not None and self._video.from_file:
                    continue  # The visitor watches it.
                text = f"You were inactive for {idle} s, so your place was given up."
                raise _Closed(_NORMAL, text) from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            await asyncio.sleep(0)  # Lets other sessions run, however much there is to read.
            try:
                if message.get("text") is not None:
                    self._check_rate_limit()
                    await self._on_text(messages.parse_message(message["text"]))
                else:
                    await self._on_bytes(message["bytes"])
            except messages.MalformedMessage as error:
                text = f"The page sent an invalid message ({error}): reload it."
                raise _Closed(_POLICY_VIOLATION, text) from error
            if self._outbox.qsize() > _MAX_UNSENT:
                raise _Closed(_NORMAL, "")  # A client that does not read gets no reason either.

    def _check_rate_limit(self) -> None:
        if self._limiter.acquire(""):
            raise _Closed(_POLICY_VIOLATION, "The page sent too many messages: reload it.")

    async def _on_text(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind not in self._handlers:
            raise messages.MalformedMessage("a message of an unknown type")
        if self._incoming is not None and kind not in ("stop", "alive"):
            raise messages.MalformedMessage("a message in the middle of a file")
        awaitable = self._handlers[kind](message)
        if awaitable is not None:
            await awaitable

    def _on_file(self, message: dict[str, Any]) -> None:
        kind, limits = message["type"], self._service.limits
        size = messages.integer(message, "bytes", 0, 2**53)
        seed = _seed(message) if kind == "sound" else 0
        name = messages.file_name(message)
        if kind == "sound":
            self._check_can_start()
        if not size:
            self._post_error(kind, f"{name} is empty: choose another file.")
        elif size > limits.upload_mb * 1_000_000:
            self._post_error(
                kind,
                f"{name} has {size / 1e6:.1f} MB, more than the limit of {limits.upload_mb} MB:"
                " choose a smaller file.",
            )
        else:
            self._incoming = _IncomingFile(kind, name, size, seed, bytearray())
            self._post({"type": "go", "about": kind})

    async def _on_bytes(self, data: bytes) -> None:
        if self._incoming is not None:
            file = self._incoming
            file.data.extend(data)
            if len(file.data) > file.size:
                raise messages.MalformedMessage("a file longer than announced")
            if len(file.data) == file.size:
                self._incoming = None
                await self._use(file.kind, uploads.Upload(file.name, bytes(file.data)), file.seed)
        elif self._rate:
            self._on_audio(data)
        else:
            raise messages.MalformedMessage("bytes that were not announced")

    async def _on_example(self, message: dict[str, Any]) -> None:
        kind = message.get("what")
        if kind not in ("face", "sound"):
            raise messages.MalformedMessage("an example of an unknown kind")
        seed = _seed(message) if kind == "sound" else 0
        try:
            upload = await self._service.read_example(kind)
        except UserError as error:
            self._post_error(kind, str(error))
            return
        if kind == "sound":
            self._check_can_start()
        await self._use(kind, upload, seed)

    async def _use(self, kind: str, upload: uploads.Upload, seed: int) -> None:
        try:
            if kind == "face":
                service = self._service
                self._face = await service.in_reader(
                    lambda: uploads.read_face(upload, service.animator, service.limits)
                )
                self._post(self._face.message)
                self._post(messages.pack(messages.CROP, images.encode_png(self._face.still)))
            else:
                await self._start_file(upload, seed)
        except UserError as error:
            self._post_error(kind, str(error))

    async def _start_file(self, upload: uploads.Upload, seed: int) -> None:
        limits = self._service.limits
        sound = await self._service.in_reader(lambda: uploads.read_sound(upload, limits))
        video = self._new_video(sound.rate, seed, upload)
        message = {"rate": sound.playback_rate, "samples": len(sound.playback)}
        self._post({"type": "sound", **message, "doubts": sound.doubts})
        for part in messages.pack_parts(messages.SOUND, sound.playback.tobytes()):
            self._post(part)
        video.add_audio(sound.samples)
        video.end_audio()
        self._service.scheduler.add(video)

    def _on_speak(self, message: dict[str, Any]) -> None:
        rate = messages.integer(message, "rate", _MIN_RATE, _MAX_RATE)
        seed = _seed(message)
        self._check_can_start()
        video = self._new_video(rate, seed, None)
        self._rate, self._samples_left = rate, rate * self._service.limits.sound_seconds
        self._service.scheduler.add(video)

    def _on_audio(self, data: bytes) -> None:
        if len(data) % 2:
            raise messages.MalformedMessage("half a sample")
        samples = np.frombuffer(data, "<i2")
        if self._samples_left + _OVERRUN_SECONDS * self._rate < len(samples):
            raise messages.MalformedMessage("audio beyond the limit")
        used = samples[: max(self._samples_left, 0)]
        self._samples_left -= len(samples)
        if self._video is not None and len(used):
            self._video.add_audio(to_mono_float(used))
            if self._samples_left <= 0:
                self._video.end_audio()
            self._service.scheduler.wake(self._video)

    def _on_end(self, message: dict[str, Any]) -> None:
        if self._video is not None and self._rate:
            self._video.end_audio()
            self._service.scheduler.wake(self._video)
        self._rate = 0

    def _on_stop(self, message: dict[str, Any]) -> None:
        self._incoming, self._rate = None, 0
        if self._video is None:
            self._post({"type": "stopped"})
        else:
            self._stop_video(self._video)

    def _stop_video(self, video: LiveVideo) -> None:
        video.stop()
        self._service.scheduler.wake(video)

    def _check_can_start(self) -> None:
        if self._video is not None:
            raise messages.MalformedMessage("two videos at once")
        if self._face is None:
            raise messages.MalformedMessage("audio without a face")

    def _new_video(self, rate: int, seed: int, sound: uploads.Upload | None) -> LiveVideo:
        assert self._face is not None
        outbox, loop = self._outbox, self._loop

        def send(video: LiveVideo, message: Message) -> None:
            loop.call_soon_threadsafe(outbox.put_nowait, (video, message))

        def done(video: LiveVideo) -> None:
            loop.call_soon_threadsafe(self._on_video_done, video)

        self._video_ended.clear()
        self._video = self._service.new_video(self._face, sound, rate, seed, send, done)
        return self._video

    # Messages to the page.

    def _post(self, message: Message) -> None:
        self._outbox.put_nowait((None, message))

    def _post_error(self, about: str, text: str) -> None:
        self._post({"type": "error", "about": about, "text": text})

    def _on_video_done(self, video: LiveVideo) -> None:
        self._service.scheduler.remove(video)
        self._video = None
        self._video_ended.set()
        if video.stopped:
            self._post({"type": "stopped"})
        elif video.failure:
            self._post_error("sound", video.failure)
        else:
            self._outbox.put_nowait((video, video))

    async def _send_all(self) -> None:
        while True:
            video, message = await self._outbox.get()
            if isinstance(message, LiveVideo):
                await self._deliver(message)
            elif video is None or not video.stopped:
                await self._send(message)
            if video is not None and isinstance(message, bytes):
                video.frame_sent()
                self._service.scheduler.wake(video)

    async def _send(self, message: Message) -> None:
        try:
            with anyio.fail_after(self._service.limits.stalled_seconds):
                if isinstance(message, bytes):
                    await self._socket.send_bytes(message)
                else:
                    await self._socket.send_json(message)
        except TimeoutError:
            raise _Closed(_NORMAL, "") from None  # A client that does not read gets no reason.

    async def _deliver(self, video: LiveVideo) -> None:
        try:
            await self._service.keep(video)
        except UserError as error:
            self._post_error("keep", str(error))
        data = video.video
        await self._send({"type": "done", "bytes": len(data), **video.report})
        for part in messages.pack_parts(messages.VIDEO, data):
            await self._send(part)


def _seed(message: dict[str, Any]) -> int:
    return messages.integer(message, "seed", 0, SEEDS - 1)
