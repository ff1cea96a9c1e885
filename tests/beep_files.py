"""Videos that flash and sounds that beep at the same instants, with packets left out or damaged."""

import fractions

import av
import numpy as np

from data_pipelines.media import decode, video
from tests import drawn_videos

INSTANTS = (0.4, 1.24, 2.4, 3.6, 4.4, 5.6)
SECONDS = 6.0
_BEEP = 0.03  # Seconds.
_TYPES = {"s16": (np.int16, 32767), "flt": (np.float32, 1), "u8": (np.uint8, 127)}


def beeps(rate, seconds=SECONDS, instants=INSTANTS):
    """Faint noise with a tone of 30 ms at each instant, float64 [S] in [-1, 1]."""
    sound = drawn_videos.clicks((), seconds, rate, 0.005)
    tone = 0.7 * np.sin(2 * np.pi * 1000 * np.arange(round(_BEEP * rate)) / rate)
    for instant in instants:
        at = round(instant * rate)
        part = sound[at : at + len(tone)]
        part[:] = tone[: len(part)]
    return sound


def encode_sound(stream, channels, sample_format="fltp", start=0.0):
    """Encodes float [channels, S] in parts of 1024 samples, the first at `start` s."""
    dtype, scale = _TYPES[sample_format.removesuffix("p")]
    values = channels * scale if scale == 1 else np.rint(channels * scale)
    values = (values + 128 if dtype == np.uint8 else values).astype(dtype)
    packets = []
    for at in range(0, values.shape[1], 1024):
        part = values[:, at : at + 1024]
        planar = sample_format.endswith("p")
        part = part if planar else part.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(part), format=sample_format, layout=stream.layout.name
        )
        frame.sample_rate, frame.time_base = (
            stream.sample_rate,
            fractions.Fraction(1, stream.sample_rate),
        )
        frame.pts = round(start * stream.sample_rate) + at
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def write_sound(path, container, codec, rate, sound, sample_format="fltp", layout="mono"):
    """Writes float [S] or [channels, S] to a file of sound alone."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 64000 * stream.layout.nb_channels
        for packet in encode_sound(stream, np.atleast_2d(sound), sample_format):
            file.mux(packet)
    return path


def write_video(
    path, container, codec, sound, rate, *, holes=(), options=None, sample_format="fltp", edit=None
):
    """Writes a video of 6 s; packets of sound that begin in a hole (start, end) are left out."""
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        pictures = file.add_stream(codec, rate=25)
        pictures.height, pictures.width, pictures.pix_fmt = 96, 128, "yuv420p"
        track = file.add_stream(sound, rate=rate, layout="mono")
        track.bit_rate = 64000
        packets = encode_sound(track, beeps(rate)[None], sample_format)
        packets = [p for p in packets if not _in_hole(p, holes)]
        for t in range(round(25 * SECONDS)):
            lit = any(abs(t / 25 - instant) < 0.02 for instant in INSTANTS)
            image = np.full((96, 128, 3), 200 if lit else 60, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = t, fractions.Fraction(1, 25)
            packets += pictures.encode(frame)
        packets += pictures.encode(None)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            file.mux(packet)
    return path


def _in_hole(packet, holes):
    time = float(packet.pts * packet.time_base)
    return any(start <= time < end for start, end in holes)


def flashes(path, threshold=130):
    """Times of the flashes in seconds from the first frame, and that frame's on the file's clock."""
    with decode.open_video(path) as file:
        reader = video.VideoReader(file)
        lit = [time for time, frame in reader.frames() if reader.to_rgb(frame).mean() > threshold]
        return lit, reader.origin


def onsets(samples, rate, near, reach=0.25):
    """Seconds from each of some times to the beep within `reach` of it; NaN where there is none."""
    found = []
    for time in near:
        first = max(round((time - reach) * rate), 0)
        loud = np.flatnonzero(np.abs(samples[first : round((time + reach) * rate)]) > 0.3)
        found.append((first + loud[0]) / rate - time if len(loud) else np.nan)
    return np.array(found)
