"""Where `stream` has its sound from: raw samples or a WAV as they come, a file, a microphone."""

import contextlib
import os
import queue
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.media.sound import SoundFile, check_sample_rate, to_mono_float

FORMATS = ("s16le", "f32le", "wav")
_READ = 1 << 16  # Bytes at a time, at most; a pipe gives what there is.
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # Format tags of WAV.
_UNKNOWN = (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)  # Sizes that programs write into a pipe.
_SAMPLES = {  # By format tag and bits.
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "24",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}


class Source:
    """Mono sound in pieces, float32 [S] in [-1, 1], each as soon as it is there.

    rate: Hz, or None where nothing says it: the model's. After the last piece, or instead of one,
    the iterator raises UserError where the sound is not whole.
    """

    def __init__(
        self, name: str, rate: int | None, pieces: Iterator[np.ndarray], close: Callable[[], None]
    ):
        self.name, self.rate, self.pieces, self.close = name, rate, pieces, close


def opened(audio: str, form: str | None, rate: int | None) -> Source:
    """audio: a file, or - for standard input; form: of FORMATS, or None to look; rate: of raw
    samples, in Hz.

    A file of any other kind is decoded. Waits for the first bytes of a WAV.

    Raises UserError for what is none of these.
    """
    if rate is not None:
        check_sample_rate(rate, f"--rate={rate}")
    if audio != "-" and form is None:
        sound = SoundFile(audio)
        _check_rate(audio, sound.rate, rate)
        return Source(audio, sound.rate, sound.chunks(), sound.close)
    name = "standard input" if audio == "-" else audio
    descriptor = 0
    if audio != "-":
        descriptor = os.open(files.require_file(audio, "audio", allow_pipe=True), os.O_RDONLY)
    close = (lambda: None) if audio == "-" else (lambda: os.close(descriptor))
    try:
        data = _Bytes(lambda: _read(descriptor, name))
        wav = data.starts(b"RIFF") if form in (None, "wav") else False
        if form == "wav" and not wav:
            raise UserError(f"{name} is no WAV (it does not begin with RIFF): give its --format")
        if wav:
            kind, channels, own, size = _wav_header(name, data)
            _check_rate(name, own, rate)
            return Source(name, own, _samples(name, data, kind, channels, size), close)
        kind = "<f4" if form == "f32le" else "<i2"
        return Source(name, rate, _samples(name, data, kind), close)
    except UserError:
        close()
        raise


def _check_rate(name: str, own: int, given: int | None) -> None:
    if given not in (None, own):
        raise UserError(f"--rate={given}, but {name} says {own} Hz: leave --rate out")


def _read(descriptor: int, name: str) -> bytes:
    try:
        return os.read(descriptor, _READ)
    except OSError as error:  # Standard input may be closed, or a folder.
        raise UserError(
            f"{name} cannot be read ({error.strerror}): give sound there, or --audio=FILE"
        ) from error


class _Bytes:
    """Bytes as they come, with a look at the first ones."""

    def __init__(self, read: Callable[[], bytes]):
        self._read, self._kept = read, b""

    def starts(self, mark: bytes) -> bool:
        """Whether they begin like this; waits only for as many as could still be it."""
        while len(self._kept) < len(mark) and mark.startswith(self._kept):
            more = self._read()
            if not more:
                return False
            self._kept += more
        return self._kept.startswith(mark)

    def exactly(self, count: int) -> bytes:
        """So many, or fewer at the end."""
        while len(self._kept) < count and (more := self._read()):
            self._kept += more
        taken, self._kept = self._kept[:count], self._kept[count:]
        return taken

    def rest(self) -> Iterator[bytes]:
        """All others, as they come."""
        if self._kept:
            yield self._kept
        while more := self._read():
            yield more


def _wav_header(name: str, data: _Bytes) -> tuple[str, int, int, int | None]:
    """-> kind of sample, channels, rate, and the bytes of sound, None where nobody knew."""
    cure = "give a WAV that plays, or --format for raw samples"
    if data.exactly(12)[8:] != b"WAVE":
        raise UserError(f"{name} begins like a WAV and is none: {cure}")
    kind = None
    while len(header := data.exactly(8)) == 8:
        chunk, size = struct.unpack("<4sI", header)
        if chunk == b"data":
            if kind is None:
                raise UserError(f"the WAV {name} does not say its format before its sound: {cure}")
            return *kind, None if size in _UNKNOWN else size
        if chunk == b"fmt ":
            kind = _wav_format(name, data.exactly(size + size % 2))
        else:
            data.exactly(size + size % 2)
    raise UserError(f"the WAV {name} breaks off before its sound: {cure}")


def _wav_format(name: str, chunk: bytes) -> tuple[str, int, int]:
    """-> kind of sample, channels, rate."""
    if len(chunk) < 16:
        raise UserError(f"the WAV {name} breaks off in its format: give a WAV that plays")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack("<H", chunk[24:26])
    if (tag, bits) not in _SAMPLES:
        raise UserError(
            f"the WAV {name} has samples of {bits} bits in format {tag}: give integer or float PCM,"
            " or name the file by --audio to have it decoded"
        )
    if not channels:
        raise UserError(f"the WAV {name} has no channels: give one that plays")
    check_sample_rate(rate, f"the {rate} Hz of {name}")
    return _SAMPLES[tag, bits], channels, rate


def _samples(
    name: str, data: _Bytes, kind: str, channels: int = 1, size: int | None = None
) -> Iterator[np.ndarray]:
    """The sound of `size` bytes, or of all that come; what is no whole sample waits for the rest."""
    width = channels * (3 if kind == "24" else np.dtype(kind).itemsize)
    rest, taken, heard = b"", 0, 0
    for more in data.rest():
        if size is not None:
            more = more[: size - taken]  # Other chunks may follow the sound.
        taken += len(more)
        rest += more
        whole = len(rest) - len(rest) % width
        if whole:
            piece = _mono(rest[:whole], kind, channels)
            if not np.isfinite(piece).all():
                at = heard + int(np.argmin(np.isfinite(piece)))
                raise UserError(f"sample {at} of {name} is not finite: give the format it has")
            rest, heard = rest[whole:], heard + len(piece)
            yield piece
        if taken == size:
            break
    if size is not None and taken < size:
        raise UserError(f"{name} breaks off after {taken} of {size} bytes of sound: give all of it")
    if rest:
        raise UserError(
            f"{name} ends inside a sample ({len(rest)} of {width} bytes): give the format it has"
        )


def _mono(data: bytes, kind: str, channels: int) -> np.ndarray:
    if kind == "24":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = wide.view("<i4")[:, 0]
    else:
        samples = np.frombuffer(data, kind)
    return to_mono_float(samples.reshape(-1, channels))


def microphone(device: str, rate: int | None) -> Source:
    """device: its number or a part of its name, or nothing for the system's own; rate: Hz, default
    the device's.

    Listens from the first piece that is asked for.

    Raises UserError where there is none.
    """
    try:
        import sounddevice  # Comes with MediaPipe; PortAudio, which it needs, not on every system.
    except OSError as error:
        raise UserError(
            f"--microphone needs the library PortAudio ({error}): install it, e.g. apt-get install"
            " libportaudio2"
        ) from error
    chosen: Any = int(device) if device.isdigit() else device or None
    try:
        if rate is None:
            rate = int(sounddevice.query_devices(chosen, "input")["default_samplerate"])
        heard: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        stream = sounddevice.InputStream(
            samplerate=rate,
            device=chosen,
            channels=1,
            dtype="float32",
            callback=lambda data, frames, time, status: heard.put(data[:, 0].copy()),
        )
    except (ValueError, sounddevice.PortAudioError) as error:
        raise UserError(
            f"--microphone={device}: no sound can be recorded there ({error}): `python -m"
            " sounddevice` lists what there is"
        ) from error

    def pieces() -> Iterator[np.ndarray]:
        with contextlib.closing(stream):
            stream.start()
            while True:
                yield to_mono_float(heard.get())

    return Source("the microphone", rate, pieces(), stream.close)
