"""Warns of sound whose level no model was trained on."""

import array
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from data_pipelines.faces.measures import speech_level
from data_pipelines.quality.clip_checks import MEASURES

_FRAME = 0.04  # Seconds.
_EARLY = 125  # Frames: 5 s.
_SILENCE = 1e-10  # Mean square, -100 dBFS.


class LevelMeter:
    """Measures the level of the speech in sound that comes in pieces.

    Args:
      rate: Sampling rate in Hz.
    """

    def __init__(self, rate: int):
        self._frame = max(round(_FRAME * rate), 1)
        self._rest = np.zeros(0, np.float32)
        self._levels = array.array("d")  # dBFS of each frame.

    def watch(
        self, pieces: Iterable[np.ndarray], say: Callable[[str], None] | None = None
    ) -> Iterator[np.ndarray]:
        """Passes sound on, measured.

        Args:
          pieces: Mono float32 [S] in [-1, 1].
          say: Called with what is wrong after the first 5 s, for somebody who is still speaking.

        Yields:
          The pieces.
        """
        for piece in pieces:
            early = len(self._levels) < _EARLY
            samples = np.concatenate([self._rest, piece])
            whole = len(samples) - len(samples) % self._frame
            self._rest = samples[whole:]
            frames = samples[:whole].reshape(-1, self._frame).astype(np.float64)
            frames -= frames.mean(axis=1, keepdims=True)  # A constant offset is no sound.
            self._levels.extend(10 * np.log10(np.maximum((frames**2).mean(axis=1), _SILENCE)))
            if say is not None and early and len(self._levels) >= _EARLY:
                for warning in self.warnings():
                    say(f"so far, {warning}")
            yield piece

    @property
    def level(self) -> float:
        """Level of the speech so far in dBFS; NaN before the first 40 ms."""
        return speech_level(np.array(self._levels))[0] if self._levels else float("nan")

    def warnings(self) -> list[str]:
        """Judges the level of the sound so far, as `prepare --check` judges a clip's.

        Returns:
          A clause with the cure; none where the level is one of training clips.
        """
        measure = MEASURES["level"]
        if not measure.excess(np.array([self.level]))[0] > 0:
            return []
        if max(self._levels) <= 10 * np.log10(_SILENCE) + 1:
            return ["the sound is digital silence, so that the mouth stays still: give speech"]
        return [
            f"the speech is at {self.level:.1f} {measure.unit} ({measure.limit}), so that the mouth"
            " hardly moves: make it louder"
        ]
