"""The model's frames at another frame rate: its time is sampled, and never the sound's."""

import fractions
import math

from data_pipelines.common.errors import UserError

MIN_FPS, MAX_FPS = 1, 120  # Frames/s.
_NTSC = 1001  # 29.97 stands for 30000 / 1001, and so on.


def parse_frame_rate(text: str) -> fractions.Fraction:
    """ "25", "29.97", "30000/1001" -> frames/s; 23.976, 29.97, 59.94 and their like exactly.

    Raises UserError for what is no rate from 1 to 120.
    """
    try:
        rate = fractions.Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"--fps={text} is no frame rate: give e.g. 30 or 30000/1001") from error
    if not MIN_FPS <= rate <= MAX_FPS:
        raise UserError(f"--fps={text} is out of range: give {MIN_FPS} to {MAX_FPS} frames/s")
    whole = math.ceil(rate)
    television = fractions.Fraction(1000 * whole, _NTSC)
    # As it is written, to two or three decimals, rounded or cut off.
    return television if rate != whole and abs(rate - television) < 0.005 else rate


class FrameRateConverter:
    """Which of the frames to come are those at another rate: number k is the one on show at
    k / shown seconds, so that S seconds have exactly ceil(S * shown) of them."""

    def __init__(self, own: fractions.Fraction, shown: fractions.Fraction):
        """own: the model's frames/s; shown: those of the video."""
        self._own, self._shown, self._frames, self._given = own, shown, 0, 0

    def copies(self, seconds: fractions.Fraction) -> int:
        """How many frames of the video the model's next one is, where so much sound is known."""
        self._frames += 1
        until = min(self._frames / self._own, seconds)
        copies = max(0, math.ceil(until * self._shown) - self._given)
        self._given += copies
        return copies
