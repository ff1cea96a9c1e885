"""Sound: out of any file with PyAV, at once or in parts; mono; at another rate with soxr."""

import contextlib
import io
import os
from collections.abc import Iterator

import av
import av.container
import av.error
import numpy as np
import soxr

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.media import video

# Playlists and the like would have FFmpeg open whatever file or address they name.
_SELF_CONTAINED = {
    "format_whitelist": "wav,w64,aiff,au,caf,flac,mp3,ogg,aac,ac3,amr,mov,matroska,avi,mpeg,asf",
    "protocol_whitelist": "none",
}
_CURE = "give a sound file that plays, e.g. a WAV."
_RATES = 1000, 768_000  # Hz: nothing of speech is left below, and nobody records above.


def check_sample_rate(rate: int, what: str) -> None:
    """Raises UserError for a rate in Hz that no recording of speech has; what: names it."""
    if not _RATES[0] <= rate <= _RATES[1]:
        least, most = _RATES
        raise UserError(f"{what} is no sampling rate of speech: give sound of {least} to {most} Hz")


def read_audio(path: str | os.PathLike, rate: int) -> np.ndarray:
    """The sound of any sound or video file -> mono float32 [S] in [-1, 1] at `rate` Hz.

    Raises:
      UserError: there is no such file, or it holds no sound that can be decoded.
    """
    with contextlib.closing(SoundFile(path)) as sound:
        return resample(np.concatenate(list(sound.parts())), sound.rate, rate)


class SoundFile:
    """The sound of any sound or video file, mono, decoded as it is asked for.

    rate: Hz. seconds: how long it says it is, or 0. heard: samples decoded so far.

    Raises:
      UserError: there is no such file, or it holds no sound that can be decoded.
    """

    def __init__(self, path: str | os.PathLike, data: bytes | None = None):
        """data: what the file holds, from somebody whom one does not know; it is not looked for
        then, and only formats that name no other files are taken."""
        self._path, self.heard = path, 0
        if data is None:
            # A relative path with a colon would be an address.
            source, options = str(files.require_file(path, "audio").absolute()), {}
        else:
            source, options = io.BytesIO(data), _SELF_CONTAINED
        with self._told():
            # Names in other alphabets' encodings are no damage.
            self._container = av.open(source, "r", options=options, metadata_errors="replace")
        try:
            stream = video.select_stream(self._container.streams.audio)
            if stream is None:
                raise UserError(f"The file {path} has no sound; {_CURE}")
            if stream.codec_context is None:
                raise UserError(f"The sound of {path} is in a format that nobody knows; {_CURE}")
            self._parts = decode_chunks(self._container)
            with self._told():
                first = next(self._parts, None)  # Before it, the rate may be another.
            if first is None:
                raise UserError(f"The file {path} has no sound in it (0 samples); {_CURE}")
            check_sample_rate(own := stream.codec_context.sample_rate, f"the {own} Hz of {path}")
        except UserError:
            self.close()
            raise
        self._first, self.rate = first[1], stream.codec_context.sample_rate
        declared = (stream.duration or 0) * (stream.time_base or 0)
        self.seconds = float(declared or (self._container.duration or 0) / av.time_base)

    def parts(self) -> Iterator[np.ndarray]:
        """Float32 [S] in [-1, 1], one after the other; only once.

        Raises:
          UserError: the rest cannot be decoded, or is not finite.
        """
        part = self._first
        while part is not None:
            if not np.isfinite(part).all():
                raise UserError(
                    f"The sound of {self._path} has samples that are not finite; {_CURE}"
                )
            self.heard += len(part)
            yield part
            with self._told():
                _, part = next(self._parts, (None, None))

    def close(self) -> None:
        self._container.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError as e:
            raise UserError(
                f"The sound of {self._path} cannot be decoded ({e.strerror}); {_CURE}"
            ) from e


def decode_chunks(
    container: av.container.InputContainer, begin: float = 0.0, end: float | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """The first or default sound in parts: the time of each, in seconds of the file's own, and its
    samples, mono float32 [S].

    What lies before `begin` or after `end` may be left out.
    """
    stream = video.select_stream(container.streams.audio)
    assert stream is not None
    time, samples, seconds = 0.0, None, 0.0
    for frame in video.decode_from(container, stream, begin):
        if end is not None and frame.time is not None and frame.time > end:
            break
        if samples is not None:
            yield time, samples
        time, seconds = frame.time or 0.0, float((frame.duration or 0) * (frame.time_base or 0))
        samples = frame.to_ndarray()  # Planar [channels, n], packed [1, n * channels].
        samples = samples if frame.format.is_planar else samples.reshape(frame.samples, -1).T
        samples = to_mono_float(samples.T)
    if samples is not None:
        # A whole AAC frame is decoded where the file says that it ends inside one.
        last = round(seconds * stream.codec_context.sample_rate) or len(samples)
        yield time, samples[:last]


def to_mono_float(samples: np.ndarray) -> np.ndarray:
    """Samples [S] or [S, channels], integer PCM or float -> mono float32 [S] in [-1, 1]."""
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2):
        raise ValueError(f"audio of shape {samples.shape} is neither [S] nor [S, channels]")
    if samples.dtype == np.uint8:  # Unsigned PCM, whose silence is 128.
        samples = (samples.astype(np.float32) - 128) / 128
    elif np.issubdtype(samples.dtype, np.signedinteger):
        samples = samples / (float(np.iinfo(samples.dtype).max) + 1)
    elif not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(f"audio of dtype {samples.dtype} is neither signed PCM, uint8 nor float")
    if samples.ndim == 2:
        with np.errstate(invalid="ignore", over="ignore"):  # Of infinities, which are told later.
            samples = samples.mean(axis=1, dtype=np.float64)
    # What is not finite stays so, for whoever looks: infinity is not loud.
    return np.where(np.isfinite(samples), np.clip(samples, -1, 1), samples).astype(np.float32)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Mono float32 [S] in [-1, 1] from one rate to another, band-limited (soxr HQ).

    Gives ceil(S * new_rate / rate) samples, so that a part of a video frame stays one; soxr alone
    rounds, and may give none.
    """
    if rate != new_rate:
        length = -(-len(samples) * new_rate // rate)
        samples = np.clip(soxr.resample(samples, rate, new_rate, quality="HQ"), -1, 1)
        samples = fit_length(samples, length)
    return np.asarray(samples, np.float32)


class Resampler:
    """`resample` of sound that comes in pieces: the same samples, bit for bit."""

    def __init__(self, rate: int, new_rate: int):
        self._rate, self._new_rate = rate, new_rate
        same = rate == new_rate
        self._stream = None if same else soxr.ResampleStream(rate, new_rate, 1, quality="HQ")
        self._heard = self._given = 0

    def __call__(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """Mono float32 [S] in [-1, 1] -> what is ready of it at the new rate."""
        if self._stream is None:
            return samples
        self._heard += len(samples)
        ready = np.clip(self._stream.resample_chunk(samples, last=last), -1, 1)
        whole = -(-self._heard * self._new_rate // self._rate)
        ready = fit_length(ready, whole - self._given) if last else ready
        self._given += len(ready)
        return ready


def fit_length(samples: np.ndarray, n: int) -> np.ndarray:
    """[S] -> [n], cut or padded with silence at the end."""
    return np.pad(samples[:n], (0, max(0, n - len(samples))))
