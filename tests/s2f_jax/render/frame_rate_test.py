"""A frame rate other than the model's samples its time."""

import math
from fractions import Fraction

import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.render.frame_rate import FrameRateConverter, parse_frame_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", "25"),
        ("1", "1"),
        ("120", "120"),
        ("12.5", "25/2"),
        ("29.97", "30000/1001"),
        ("30000/1001", "30000/1001"),
        ("23.976", "24000/1001"),
        ("23.98", "24000/1001"),
        ("59.94", "60000/1001"),
        ("119.88", "120000/1001"),
        ("29.5", "59/2"),
    ],
)
def test_rates_as_people_write_them(text, rate):
    assert parse_frame_rate(text) == Fraction(rate)


@pytest.mark.parametrize("text", ["0", "-25", "0.99", "121", "1e9", "nan", "inf", "25/0", "", "x"])
def test_an_invalid_rate_is_reported(text):
    with pytest.raises(
        UserError, match=f"--fps={text}: must be (a frame rate such as|in .1, 120. frames/s)"
    ):
        parse_frame_rate(text)


@pytest.mark.parametrize("own", [Fraction(25), Fraction(16000, 533)])
@pytest.mark.parametrize("shown", ["1", "10", "24000/1001", "25", "30000/1001", "50", "60", "120"])
@pytest.mark.parametrize("samples", [1, 640, 16000, 16001, 47999, 160001])
def test_frame_k_is_the_model_frame_at_its_time(own, shown, samples):
    """And there are exactly ceil(seconds * shown), however much sound is known on the way."""
    shown, seconds = Fraction(shown), Fraction(samples, 16000)
    retimed, sources = FrameRateConverter(own, shown), []
    frames = math.ceil(seconds * own)
    for t in range(frames + 3):  # Drawing goes on in silence where others are longer.
        known = min(seconds, (t + 2) / own) if t + 2 < frames else seconds
        sources += [t] * retimed.repeats(known)
    assert sources == [math.floor(k / shown * own) for k in range(math.ceil(seconds * shown))]
