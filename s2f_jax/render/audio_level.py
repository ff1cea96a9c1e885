"""Finds sound whose level no model was trained on: raises that of a file, or warns.

GRID's clips have speech at -14 to -27 dBFS. Of the demo's model, sound 10 dB more quiet moves the mouth
by 0.89 of what it should, 15 dB 0.71, 20 dB 0.39 and 30 dB not at all; PSNR of the lower half
falls from 30.3 to 29.5, 28.3, 27.0 and 26.2 dB. Raised again it is as it was.
"""

import array
import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from data_pipelines.faces.measures import speech_level
from data_pipelines.media.sound_file import SoundFile

_FRAME = 0.04  # Seconds.
_LOUDEST, _ABOVE = 12, 6.0  # Frames, dB.
_EARLY = 125  # Frames: 5 s.
_QUIET, _USUAL, _MAX_GAIN = -30.0, -20.0, 30.0  # dBFS, dBFS, dB.
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
        """Level of the speech so far in dBFS; NaN before the first 40 ms.

        Where there is little speech in long noise, it is that of the loudest half second, less what
        this is usually above speech.
        """
        if not self._levels:
            return float("nan")
        powers = 10 ** (np.array(self._levels) / 10)
        count = min(_LOUDEST, len(powers))
        loudest = np.convolve(powers, np.full(count, 1 / count), mode="valid").max()
        return max(speech_level(np.array(self._levels))[0], float(10 * np.log10(loudest)) - _ABOVE)

    def model_gain(self) -> float:
        """Chooses the gain for the model of the sound so far.

        Returns:
          What brings speech under -30 dBFS to -20 dBFS, 31.6 at most (30 dB); 1 for all other sound.
        """
        if not self._levels or self.level >= _QUIET:
            return 1.0
        return float(10 ** (min(_USUAL - self.level, _MAX_GAIN) / 20))

    def warnings(self, gain: float = 1.0) -> list[str]:
        """Judges the level of the sound so far.

        Args:
          gain: What the sound is multiplied by before the model.

        Returns:
          A clause with the cure, or on the gain; none where the level is one of training clips.
        """
        decibels = 20 * np.log10(gain)
        if not self._levels or self.level + decibels >= _QUIET:
            raised = (
                f"the speech is at {self.level:.1f} dBFS: raised by {decibels:.0f} dB for the model"
            )
            return [raised] if gain > 1 else []
        if max(self._levels) <= 10 * np.log10(_SILENCE) + 1:
            return ["the sound is digital silence, so that the mouth stays still: give speech"]
        return [
            f"the speech is at {self.level:.1f} dBFS (under {_QUIET:.0f} dBFS), so that the mouth"
            " hardly moves: make it louder"
        ]


def model_gain(path: str) -> float:
    """Measures a sound file as a whole, before a model is given it.

    Args:
      path: The file.

    Returns:
      LevelMeter.model_gain of all of it.

    Raises:
      UserError: Its sound cannot be decoded.
    """
    with contextlib.closing(SoundFile(path)) as file:
        meter = LevelMeter(file.rate)
        for _ in meter.watch(file.chunks()):
            pass
    return meter.model_gain()
