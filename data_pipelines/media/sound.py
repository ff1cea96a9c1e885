"""Decodes sound from any file (PyAV), whole or in chunks; mono; resampled by soxr."""

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
from data_pipelines.media import containers, video

# Of untrusted data: a playlist would have FFmpeg open whatever file or address it names.
_SELF_CONTAINED = {
    "format_whitelist": "wav,w64,aiff,au,caf,flac,mp3,ogg,aac,ac3,amr,mov,matroska,avi,mpeg,asf",
    "protocol_whitelist": "none",
}
_CURE = "give a sound file that plays, e.g. a WAV."
_MIN_RATE, _MAX_RATE = 1000, 768_000  # Hz: no speech is left below, and nobody records above.


def check_sample_rate(rate: int, name: str) -> None:
    """Checks that speech can have been recorded at a rate.

    Args:
      rate: Sampling rate in Hz.
      name: What has this rate, for the message, e.g. "--rate=0".

    Raises:
      UserError: The rate is out of range.
    """
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise UserError(
            f"{name} is not a sampling rate of speech: give sound of {_MIN_RATE} to {_MAX_RATE} Hz"
        )


def read_audio(path: str | os.PathLike, rate: int) -> np.ndarray:
    """Reads the sound of any sound or video file.

    Args:
      path: The file.
      rate: Sampling rate of the result, Hz.

    Returns:
      float32 [S], mono, in [-1, 1].

    Raises:
      UserError: There is no such file, or its sound cannot be decoded.
    """
    with contextlib.closing(SoundFile(path)) as sound:
        return resample(np.concatenate(list(sound.chunks())), sound.rate, rate)


class SoundFile:
    """The sound of any sound or video file, mono, decoded on demand.

    Args:
      path: The file.
      data: The file's bytes, if they come from an untrusted source; then `path` is only a name for
        messages, and formats that can refer to other files are refused.

    Attributes:
      rate: Sampling rate in Hz.
      seconds: Duration by the header; 0 if it declares none.
      samples_decoded: Number of samples decoded so far.

    Raises:
      UserError: There is no such file, or its sound cannot be decoded.
    """

    def __init__(self, path: str | os.PathLike, data: bytes | None = None):
        self._path, self.samples_decoded = path, 0
        if data is None:
            source, options = files.require_file(path, "audio"), {}
        else:
            source, options = io.BytesIO(data), _SELF_CONTAINED
        with self._decoding_errors():
            self._container = containers.open_media(source, options)
        try:
            stream = video.select_stream(self._container.streams.audio)
            if stream is None:
                raise UserError(f"The file {path} has no sound; {_CURE}")
            if stream.codec_context is None:
                raise UserError(f"The sound of {path} is in an unknown format; {_CURE}")
            self._chunks = decode_chunks(self._container)
            with self._decoding_errors():
                first = next(self._chunks, None)
            if first is None:
                raise UserError(f"The file {path} has no sound in it (0 samples); {_CURE}")
            self.rate = stream.codec_context.sample_rate  # Not final before the first chunk.
            check_sample_rate(self.rate, f"the {self.rate} Hz of {path}")
        except UserError:
            self.close()
            raise
        self._first = first[1]
        declared = (stream.duration or 0) * (stream.time_base or 0)
        self.seconds = float(declared or (self._container.duration or 0) / av.time_base)

    def chunks(self) -> Iterator[np.ndarray]:
        """Decodes the sound; can be called only once.

        Yields:
          Consecutive samples, float32 [S] in [-1, 1].

        Raises:
          UserError: The rest cannot be decoded, or is not finite.
        """
        chunk = self._first
        while chunk is not None:
            if not np.isfinite(chunk).all():
                raise UserError(
                    f"The sound of {self._path} has samples that are not finite; {_CURE}"
                )
            self.samples_decoded += len(chunk)
            yield chunk
            with self._decoding_errors():
                _, chunk = next(self._chunks, (None, None))

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    @contextlib.contextmanager
    def _decoding_errors(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError as e:
            raise UserError(
                f"The sound of {self._path} cannot be decoded ({e.strerror}); {_CURE}"
            ) from e


def decode_chunks(
    container: av.container.InputContainer, start: float = 0.0, end: float | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """Decodes the default (else the first) audio stream of an open file.

    Args:
      container: The open file, which has an audio stream.
      start: Seconds on the file's own clock; what lies before it may be left out.
      end: Seconds on the file's own clock; what lies after it may be left out; None: all.

    Yields:
      Time of a chunk, in seconds on the file's own clock, and its samples, float32 [S], mono.
    """
    stream = video.select_stream(container.streams.audio)
    assert stream is not None
    time, samples, seconds = 0.0, None, 0.0
    for frame in video.decode_from(container, stream, start):
        if end is not None and frame.time is not None and frame.time > end:
            break
        if samples is not None:
            yield time, samples
        time, seconds = frame.time or 0.0, float((frame.duration or 0) * (frame.time_base or 0))
        samples = frame.to_ndarray()  # Planar [channels, n], packed [1, n * channels].
        samples = samples if frame.format.is_planar else samples.reshape(frame.samples, -1).T
        samples = to_mono_float(samples.T)
    if samples is not None:
        # A whole AAC frame is decoded where the file declares that it ends inside one.
        last = round(seconds * stream.codec_context.sample_rate) or len(samples)
        yield time, samples[:last]


def to_mono_float(samples: np.ndarray) -> np.ndarray:
    """Converts samples of any format to mono floats.

    Args:
      samples: [S] or [S, channels]; signed or unsigned 8-bit PCM, or float in [-1, 1].

    Returns:
      float32 [S], clipped to [-1, 1]; values that are not finite stay as they are.

    Raises:
      ValueError: Another shape or dtype.
    """
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
        with np.errstate(invalid="ignore", over="ignore"):  # Infinities are reported later.
            samples = samples.mean(axis=1, dtype=np.float64)
    # Not clipped where not finite, so that a check can see it: infinity is not loud.
    return np.where(np.isfinite(samples), np.clip(samples, -1, 1), samples).astype(np.float32)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resamples band-limited (soxr HQ).

    Args:
      samples: float32 [S], mono, in [-1, 1].
      rate: Sampling rate in Hz of `samples`.
      new_rate: Sampling rate of the result.

    Returns:
      float32 [ceil(S * new_rate / rate)]: rounded up, so that a started video frame is kept; soxr
      alone rounds to nearest, and may give none.
    """
    if rate != new_rate:
        length = -(-len(samples) * new_rate // rate)
        samples = np.clip(soxr.resample(samples, rate, new_rate, quality="HQ"), -1, 1)
        samples = fit_length(samples, length)
    return np.asarray(samples, np.float32)


class Resampler:
    """Streaming `resample`: sound that comes in chunks gives the same samples, bit for bit.

    Args:
      rate: Sampling rate in Hz of the input.
      new_rate: Sampling rate of the output.
    """

    def __init__(self, rate: int, new_rate: int):
        self._rate, self._new_rate = rate, new_rate
        self._stream = None
        if rate != new_rate:
            self._stream = soxr.ResampleStream(rate, new_rate, 1, quality="HQ")
        self._samples_in = self._samples_out = 0

    def __call__(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """Resamples the next chunk.

        Args:
          samples: float32 [S], mono, in [-1, 1].
          last: Whether the sound ends with it.

        Returns:
          float32: what is complete at the new rate.
        """
        if self._stream is None:
            return samples
        self._samples_in += len(samples)
        ready = np.clip(self._stream.resample_chunk(samples, last=last), -1, 1)
        total = -(-self._samples_in * self._new_rate // self._rate)
        ready = fit_length(ready, total - self._samples_out) if last else ready
        self._samples_out += len(ready)
        return ready


def fit_length(samples: np.ndarray, n: int) -> np.ndarray:
    """Cuts samples at the end, or pads them with silence.

    Args:
      samples: [S].
      n: Length of the result.

    Returns:
      [n].
    """
    return np.pad(samples[:n], (0, max(0, n - len(samples))))
