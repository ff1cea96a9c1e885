"""Mixes the channels of sound to one, with speech at its level wherever it is.

A plain mean makes silence of a voice whose second channel is inverted, and a voice in the center
channel of 5.1 quieter by 15.6 dB. Here each channel has a weight by its position; one in opposite
phase to those before it is inverted; and where the mix is much quieter or louder than the loudest
channel it gets that channel's level.
"""

from collections.abc import Sequence

import numpy as np
import scipy.signal

# Weights by FFmpeg's names of channels. A voice between the front speakers (FL = FR) or in the
# center (FC) keeps its level; surround channels count less by 3 dB, as in ITU-R BS.775; none for LFE.
_WEIGHTS = {"FC": 1.0, "FL": 0.5, "FR": 0.5, "FLC": 0.5, "FRC": 0.5, "DL": 0.5, "DR": 0.5}
_WEIGHTS |= {"BC": 0.35, "BL": 0.35, "BR": 0.35, "SL": 0.35, "SR": 0.35, "LFE": 0.0, "LFE2": 0.0}
_LAYOUTS = {  # Of sound that has a number of channels but no layout, as WAV and FFmpeg assume.
    1: ("FC",),
    2: ("FL", "FR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
_MEMORY = 0.3  # Seconds over which powers are averaged: longer than a syllable.
# Correlation with the channels before it from which a channel is inverted, and half of the range
# over which that fades in. Of two microphones in a room it stays above -0.3.
_OPPOSITE, _FADE = -0.5, 0.1
# dB between the mix and its loudest channel from which, and up to which, the correction fades in.
# GRID's channels differ by rounding alone, or by 0.06 dB (speaker 2): its mix is the plain mean.
_FROM, _FULL = 0.5, 1.5
_MAX_GAIN = 8.0
_OFFSET_CUTOFF = 20.0  # Hz.
# Power, -50 dBFS, of equal channels before the first sample, whose own correlation is always 1 or -1.
_PRIOR = 1e-5
_TINY = 1e-20  # A power, far below that of one step of 24 bits.


def default_layout(channels: int) -> tuple[str, ...]:
    """Names the channels of sound without a declared layout.

    Args:
      channels: Number of channels.

    Returns:
      FFmpeg's names; "" for channels whose position is unknown.
    """
    return _LAYOUTS.get(channels, ("",) * channels)


class Downmixer:
    """Mixes sound that comes in pieces; the result does not depend on where they are cut.

    Attributes:
      samples: Number of samples mixed so far.
      inverted_samples: In how many of them a channel was inverted.

    Args:
      layout: Position of each channel, by FFmpeg's names ("FL", "FC", ...).
      rate: Sampling rate in Hz.
    """

    def __init__(self, layout: Sequence[str], rate: int):
        known = all(name in _WEIGHTS for name in layout)
        self._weights = np.array([_WEIGHTS[n] if known else 1 / len(layout) for n in layout])
        self._decay = np.exp(-1 / (_MEMORY * rate))
        self._offset_decay = np.exp(-2 * np.pi * _OFFSET_CUTOFF / rate)
        self._states: dict[str, np.ndarray] = {}
        self.samples = self.inverted_samples = 0

    def __call__(self, channels: np.ndarray) -> np.ndarray:
        """Mixes the next piece.

        Args:
          channels: Float [channels, S], finite.

        Returns:
          float64 [S].
        """
        if len(channels) == 1 or not channels.size:  # SciPy's filter loses its state on no samples.
            return np.asarray(channels[0], np.float64)
        channels = np.array(channels, np.float64)
        heard = self._high_pass(channels)  # For the measures: a constant offset is no sound.
        powers = self._average("powers", heard**2)
        self.samples += channels.shape[1]
        inverted = np.zeros(channels.shape[1], bool)
        mix, mix_heard = self._weights[0] * channels[0], self._weights[0] * heard[0]
        mixed = self._weights[0] ** 2 * powers[0]
        for i in range(1, len(channels)):
            if self._weights[i]:
                products = self._average(f"product {i}", heard[i] * mix_heard)
                factor = self._weights[i] * (sign := _sign(products, np.sqrt(powers[i] * mixed)))
                mix, mix_heard = mix + factor * channels[i], mix_heard + factor * heard[i]
                mixed = self._average(f"mix {i}", mix_heard**2)
                inverted |= np.asarray(sign) < 0
        self.inverted_samples += int(inverted.sum())
        loudest = powers[self._weights > 0].max(axis=0, initial=0.0)
        return mix * _correction(loudest, mixed)

    def _high_pass(self, channels: np.ndarray) -> np.ndarray:
        """Removes what is below 20 Hz, as if the first sample had gone on forever before."""
        state = self._states.get("high pass", -channels[:, :1])
        taps = [1, -1], [1, -self._offset_decay]
        passed, self._states["high pass"] = scipy.signal.lfilter(*taps, channels, axis=-1, zi=state)
        return passed

    def _average(self, name: str, values: np.ndarray) -> np.ndarray:
        """Averages values over time, exponentially, beginning with the piece before."""
        state = self._states.get(name, np.full((*values.shape[:-1], 1), self._decay * _PRIOR))
        taps = [1 - self._decay], [1, -self._decay]
        average, self._states[name] = scipy.signal.lfilter(*taps, values, axis=-1, zi=state)
        return average


def _sign(products: np.ndarray, scale: np.ndarray) -> np.ndarray | float:
    """Returns -1 where the correlation, products / scale, is that of opposite phase, [S]; else 1."""
    correlation = products / (scale + _TINY)
    if correlation.min() > _OPPOSITE + _FADE:
        return 1.0
    return np.clip((correlation - _OPPOSITE) / _FADE, -1, 1)


def _correction(loudest: np.ndarray, mixed: np.ndarray) -> np.ndarray | float:
    """Returns the gain [S] that brings a mix to the level of its loudest channel, if it is far off."""
    ratio = (loudest + _TINY) / (mixed + _TINY)
    limit = 10 ** (_FROM / 10)
    if ratio.max() < limit and ratio.min() > 1 / limit:
        return 1.0
    decibels = 10 * np.log10(ratio)
    decibels *= np.clip((np.abs(decibels) - _FROM) / (_FULL - _FROM), 0, 1)
    return np.minimum(10 ** (decibels / 20), _MAX_GAIN)
