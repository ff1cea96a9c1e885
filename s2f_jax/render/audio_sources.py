"""The audio inputs of `stream`: raw samples or a WAV as they arrive, a file, a microphone."""

import contextlib
import dataclasses
import os
import queue
import struct
from collections.abc import Callable, Iterator

import numpy as np

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.media.downmix import Downmixer, default_layout
from data_pipelines.media.sound import check_sample_rate, to_float, to_mono_float
from data_pipelines.media.sound_file import SoundFile

FORMATS = ("s16le", "f32le", "wav")
_READ_BYTES = 1 << 16  # At most; a pipe returns what it has.
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # Format tags of WAV.
_UNKNOWN_SIZES = (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)  # Written by programs into pipes.
_WAV_POSITIONS = ("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR")  # By bit.
_INT24 = "int24"  # numpy has no such type.
_SAMPLE_TYPES = {  # By format tag and bits.
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): _INT24,
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}


@dataclasses.dataclass(frozen=True)
class AudioSource:
    """Audio that arrives in pieces.

    Attributes:
      name: Name of the input, for messages.
      rate: Sampling rate in Hz; None for raw samples whose rate was not given.
      pieces: Mono float32 [S] in [-1, 1], each as soon as it has arrived. Raises UserError where the
        audio is damaged or incomplete, after the samples before that.
      close: Releases the input.
      warnings: Describes what was missing in the audio so far, a sentence each.
    """

    name: str
    rate: int | None
    pieces: Iterator[np.ndarray]
    close: Callable[[], None]
    warnings: Callable[[], list[str]] = list


def open_audio(audio: str, audio_format: str | None, rate: int | None) -> AudioSource:
    """Opens a file or standard input, and waits for the first bytes of a WAV.

    Args:
      audio: A file, or - for standard input.
      audio_format: One of `FORMATS`; None to decode a file of any format, and to tell a WAV on
        standard input from s16le by its first bytes.
      rate: Sampling rate of raw samples, Hz.

    Returns:
      The source.

    Raises:
      UserError: The input cannot be read or is of another format, or the rate contradicts it.
    """
    if rate is not None:
        check_sample_rate(rate, f"--rate={rate}")
    if audio != "-" and audio_format is None:
        sound_file = SoundFile(audio)
        with contextlib.ExitStack() as stack:
            stack.callback(sound_file.close)
            _check_given_rate(audio, sound_file.rate, rate)
            stack.pop_all()
        pieces, close = sound_file.chunks(), sound_file.close
        return AudioSource(audio, sound_file.rate, pieces, close, sound_file.warnings)
    name = "standard input" if audio == "-" else audio
    descriptor = 0
    if audio != "-":
        descriptor = os.open(files.require_file(audio, "audio", allow_pipe=True), os.O_RDONLY)
    close = (lambda: None) if audio == "-" else (lambda: os.close(descriptor))
    try:
        data = _ByteReader(lambda: _read(descriptor, name))
        is_wav = audio_format in (None, "wav") and data.starts_with(b"RIFF")
        if audio_format == "wav" and not is_wav:
            raise UserError(f"{name} is not a WAV (it does not begin with RIFF): give its --format")
        if is_wav:
            sample_type, layout, wav_rate, size = _parse_wav_header(name, data)
            _check_given_rate(name, wav_rate, rate)
            mix = Downmixer(layout, wav_rate)
            pieces = _decode_samples(name, data, sample_type, len(layout), size, mix)
            return AudioSource(name, wav_rate, pieces, close)
        sample_type = "<f4" if audio_format == "f32le" else "<i2"
        pieces = _decode_samples(name, data, sample_type)
        return AudioSource(name, rate, pieces, close)
    except UserError:
        close()
        raise


def _check_given_rate(name: str, rate: int, given: int | None) -> None:
    if given not in (None, rate):
        raise UserError(f"--rate={given}, but {name} says {rate} Hz: leave --rate out")


def _read(descriptor: int, name: str) -> bytes:
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError as error:  # Standard input may be closed, or a folder.
        raise UserError(f"{name}: {error.strerror}; give sound there, or --audio=FILE") from error


class _ByteReader:
    """Bytes as they arrive, with a look ahead at the first ones."""

    def __init__(self, read: Callable[[], bytes]):
        self._read, self._buffer = read, b""

    def starts_with(self, prefix: bytes) -> bool:
        # Whether the bytes begin so; blocks only as long as they may.
        while len(self._buffer) < len(prefix) and prefix.startswith(self._buffer):
            data = self._read()
            if not data:
                return False
            self._buffer += data
        return self._buffer.startswith(prefix)

    def read_exactly(self, count: int) -> bytes:
        """Returns that many bytes, or fewer at the end."""
        while len(self._buffer) < count and (data := self._read()):
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def read_rest(self) -> Iterator[bytes]:
        """Yields all other bytes as they arrive."""
        if self._buffer:
            yield self._buffer
        while data := self._read():
            yield data


def _parse_wav_header(name: str, data: _ByteReader) -> tuple[str, tuple[str, ...], int, int | None]:
    # -> sample type, positions of the channels, rate, bytes of audio, None where they are unknown.
    advice = "give a WAV that plays, or --format for raw samples"
    if data.read_exactly(12)[8:] != b"WAVE":
        raise UserError(f"{name} begins like a WAV but is not one: {advice}")
    sample_format = None
    while len(header := data.read_exactly(8)) == 8:
        chunk, size = struct.unpack("<4sI", header)
        if chunk == b"data":
            if sample_format is None:
                raise UserError(f"the WAV {name} has its sound before its format: {advice}")
            return *sample_format, None if size in _UNKNOWN_SIZES else size
        content = data.read_exactly(size + size % 2)
        if chunk == b"fmt ":
            sample_format = _parse_wav_format(name, content)
    raise UserError(f"the WAV {name} ends before its sound: {advice}")


def _parse_wav_format(name: str, chunk: bytes) -> tuple[str, tuple[str, ...], int]:
    # -> sample type, positions of the channels, rate.
    if len(chunk) < 16:
        raise UserError(f"the WAV {name} ends in its format: give a WAV that plays")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
    layout = default_layout(channels)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        mask, tag = struct.unpack("<IH", chunk[20:26])
        masked = tuple(n for bit, n in enumerate(_WAV_POSITIONS) if mask >> bit & 1)
        layout = masked if len(masked) == channels else layout
    if (tag, bits) not in _SAMPLE_TYPES:
        raise UserError(
            f"the WAV {name} has samples of {bits} bits in format {tag}: give integer or float PCM,"
            " or name the file by --audio to have it decoded"
        )
    if not channels:
        raise UserError(f"the WAV {name} has no channels: give one that plays")
    check_sample_rate(rate, f"the {rate} Hz of {name}")
    return _SAMPLE_TYPES[tag, bits], layout, rate


def _decode_samples(
    name: str,
    data: _ByteReader,
    sample_type: str,
    channels: int = 1,
    size: int | None = None,
    mix: Callable[[np.ndarray], np.ndarray] = lambda samples: samples[0],
) -> Iterator[np.ndarray]:
    # The audio of `size` bytes, or of all that arrive; an incomplete sample waits for its rest.
    width = channels * (3 if sample_type == _INT24 else np.dtype(sample_type).itemsize)
    partial, bytes_read, samples_read = b"", 0, 0
    for block in data.read_rest():
        if size is not None:
            block = block[: size - bytes_read]  # Other chunks may follow the audio.
        bytes_read += len(block)
        partial += block
        whole = len(partial) - len(partial) % width
        if whole:
            samples = _to_channels(partial[:whole], sample_type, channels)
            finite = np.isfinite(samples).all(axis=0)
            if not finite.all():
                index = samples_read + int(np.argmin(finite))
                raise UserError(f"sample {index} of {name} is not finite: give the format it has")
            piece = to_mono_float(mix(samples))
            partial, samples_read = partial[whole:], samples_read + len(piece)
            yield piece
        if bytes_read == size:
            break
    if size is not None and bytes_read < size:
        raise UserError(f"{name} ends after {bytes_read} of {size} bytes of sound: give all of it")
    if partial:
        bytes_left = f"{len(partial)} of {width} bytes"
        raise UserError(f"{name} ends inside a sample ({bytes_left}): give the format it has")


def _to_channels(data: bytes, sample_type: str, channels: int) -> np.ndarray:
    # Floats [channels, S].
    if sample_type == _INT24:  # As the upper bytes of 32 bits.
        words = np.zeros((len(data) // 3, 4), np.uint8)
        words[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = words.view("<i4")[:, 0]
    else:
        samples = np.frombuffer(data, sample_type)
    return to_float(samples).reshape(-1, channels).T


def open_microphone(device: str, rate: int | None) -> AudioSource:
    """Opens a microphone, which records from the first piece that is asked for.

    Args:
      device: The device's number or a part of its name; empty for the system's default.
      rate: Sampling rate in Hz; default the device's.

    Returns:
      The source, which does not end.

    Raises:
      UserError: There is no such microphone, or no library to record with.
    """
    try:
        import sounddevice  # A dependency of MediaPipe's; PortAudio, which it needs, may be missing.
    except OSError as error:
        install = "apt-get install libportaudio2"
        raise UserError(f"--microphone needs PortAudio ({error}): {install}") from error
    selected = int(device) if device.isdigit() else device or None
    try:
        if rate is None:
            rate = int(sounddevice.query_devices(selected, "input")["default_samplerate"])
        blocks: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        stream = sounddevice.InputStream(
            samplerate=rate,
            device=selected,
            channels=1,
            dtype="float32",
            # PortAudio reuses the buffer: it has to be copied.
            callback=lambda data, frames, time, status: blocks.put(data[:, 0].copy()),
        )
    except (ValueError, sounddevice.PortAudioError) as error:
        devices = "`python -m sounddevice` lists the devices"
        raise UserError(f"--microphone={device}: cannot record ({error}); {devices}") from error

    def record() -> Iterator[np.ndarray]:
        with contextlib.closing(stream):
            stream.start()
            while True:
                yield to_mono_float(blocks.get())

    return AudioSource("the microphone", rate, record(), stream.close)
