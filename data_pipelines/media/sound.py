"""Operations on samples: conversion to floats, resampling by soxr, removal of a constant offset."""

import numpy as np
import scipy.signal
import soxr

from data_pipelines.common.errors import UserError

_MIN_RATE, _MAX_RATE = 1000, 768_000  # Hz: no speech is left below, and nobody records above.
_CUTOFF = 0.5  # Hz. At 5 Hz the demo's model, trained on unfiltered sound, lost 0.1 dB; here none.
_MAX_OFFSET = (
    0.005  # Of full scale, which costs the demo's mouths 1.4 dB. GRID: mostly under 0.003.
)


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


def to_float(samples: np.ndarray) -> np.ndarray:
    """Converts samples of any format to floats.

    Args:
      samples: Signed or unsigned 8-bit PCM, or float, of any shape.

    Returns:
      Floats of the same shape, whose full scale is [-1, 1].

    Raises:
      ValueError: Another dtype.
    """
    if samples.dtype == np.uint8:  # Unsigned PCM, whose silence is 128.
        return (samples.astype(np.float32) - 128) / 128
    if np.issubdtype(samples.dtype, np.signedinteger):
        return samples / (float(np.iinfo(samples.dtype).max) + 1)
    if np.issubdtype(samples.dtype, np.floating):
        return samples
    raise ValueError(f"audio of dtype {samples.dtype} is neither signed PCM, uint8 nor float")


def to_mono_float(samples: np.ndarray) -> np.ndarray:
    """Converts mono samples of any format to floats.

    Args:
      samples: [S]; signed or unsigned 8-bit PCM, or float in [-1, 1].

    Returns:
      float32 [S], clipped to [-1, 1]; values that are not finite stay as they are.

    Raises:
      ValueError: Another shape or dtype.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise ValueError(f"audio of shape {samples.shape} is not [S]")
    samples = to_float(samples)
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


def remove_offset(samples: np.ndarray) -> np.ndarray:
    """Removes a constant offset (DC) from a whole recording, if it has one worth a word.

    Args:
      samples: float32 [S] in [-1, 1].

    Returns:
      float32 [S] in [-1, 1]: the same samples if their mean is at most 0.5 % of full scale.
    """
    sounding = samples != 0  # Not the silence in place of missing sound.
    mean = samples.mean(dtype=np.float64, where=sounding) if sounding.any() else 0.0
    if abs(mean) <= _MAX_OFFSET:
        return samples
    return np.clip(samples - np.float32(mean) * sounding, -1, 1)


class OffsetRemover:
    """Removes a constant offset (DC) from sound that comes in pieces, by a high-pass of 0.5 Hz.

    Speech has nothing below 60 Hz, where it changes levels by 0.0003 dB. The filter begins as if the
    mean of the first samples had gone on forever before them, so that an offset makes no step, and
    sound is the same with an offset as without it.

    Args:
      rate: Sampling rate in Hz.
      first: Number of samples that it waits for in the beginning.
    """

    def __init__(self, rate: int, first: int):
        self._decay, self._first = np.exp(-2 * np.pi * _CUTOFF / rate), first
        self._waiting: np.ndarray | None = None
        self._state: np.ndarray | None = None

    def __call__(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """Filters the next piece.

        Args:
          samples: float32 [..., S] in [-1, 1].
          last: Whether the sound ends with it.

        Returns:
          float32 [..., S'] in [-1, 1]: nothing before the first samples are complete.
        """
        gain = (1 + self._decay) / 2
        if self._state is None:
            if self._waiting is not None:
                samples = np.concatenate([self._waiting, samples], axis=-1)
            if (samples.shape[-1] < self._first and not last) or not samples.shape[-1]:
                self._waiting = samples
                return samples[..., :0]
            first = samples[..., : self._first].astype(np.float64)
            self._state = -gain * first.mean(axis=-1, keepdims=True)
        if not samples.shape[-1]:
            return samples
        filtered, self._state = scipy.signal.lfilter(
            [gain, -gain], [1, -self._decay], samples.astype(np.float64), axis=-1, zi=self._state
        )
        return np.clip(filtered, -1, 1).astype(np.float32)


def fit_length(samples: np.ndarray, n: int) -> np.ndarray:
    """Cuts samples at the end, or pads them with silence.

    Args:
      samples: [S].
      n: Length of the result.

    Returns:
      [n].
    """
    return np.pad(samples[:n], (0, max(0, n - len(samples))))
