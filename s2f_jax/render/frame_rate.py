"""Conversion of the model's frame rate: frames are repeated or dropped, the audio stays as it is."""

import fractions
import math

from data_pipelines.common.errors import UserError

MIN_FPS, MAX_FPS = 1, 120


def parse_frame_rate(text: str) -> fractions.Fraction:
    """Parses a frame rate as people write it.

    Args:
      text: Such as "25", "29.97" or "30000/1001".

    Returns:
      Frames/s; 23.976, 29.97, 59.94 and their like as the exact multiples of 1 / 1001.

    Raises:
      UserError: The value is not a rate in [1, 120].
    """
    try:
        rate = fractions.Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"--fps={text}: must be a frame rate such as 30 or 30000/1001") from error
    if not MIN_FPS <= rate <= MAX_FPS:
        raise UserError(f"--fps={text}: must be in [{MIN_FPS}, {MAX_FPS}] frames/s")
    whole = math.ceil(rate)
    ntsc = fractions.Fraction(1000 * whole, 1001)
    # Written with two or three decimals, rounded or cut off.
    return ntsc if rate != whole and abs(rate - ntsc) < 0.005 else rate


class FrameRateConverter:
    """Samples the model's frames at another rate.

    Video frame k is the model's frame at time k / video_fps, so that S seconds have exactly
    ceil(S * video_fps) frames.

    Args:
      model_fps: The model's frames/s.
      video_fps: The video's frames/s.
    """

    def __init__(self, model_fps: fractions.Fraction, video_fps: fractions.Fraction):
        self._model_fps, self._video_fps = model_fps, video_fps
        self._model_frames = self._video_frames = 0

    def repeats(self, seconds: fractions.Fraction) -> int:
        """Counts how often the model's next frame is in the video.

        Args:
          seconds: Length of the audio, as far as it is known.

        Returns:
          0 or more.
        """
        self._model_frames += 1
        end = min(self._model_frames / self._model_fps, seconds)
        repeats = max(0, math.ceil(end * self._video_fps) - self._video_frames)
        self._video_frames += repeats
        return repeats
