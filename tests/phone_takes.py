"""Long takes as phones write them: turned by a display matrix, of a varying frame rate, with AAC.

The speech is GRID's, sentence after sentence, as S2F_GRID says where it is.
"""

import fractions
import itertools
import os
import pathlib

import av
import cv2
import numpy as np

from data_pipelines.media import decode, sound, video

AVAILABLE = "S2F_FACE_LANDMARKER" in os.environ and "S2F_GRID" in os.environ
SENTENCE = 3.0  # Seconds of each clip of GRID.
_TICK = fractions.Fraction(1, 90000)


def sentences(count, speaker="s1"):
    """Yields the first clips of a speaker that are whole: name, pictures [75, 288, 360, 3], sound [S]
    and its rate."""
    paths = sorted(pathlib.Path(os.environ["S2F_GRID"], speaker).glob("*.mpg"))
    read = ((path.stem, _read(path)) for path in paths)
    return itertools.islice(((name, *sentence) for name, sentence in read if sentence), count)


def path_of(name, speaker="s1"):
    return pathlib.Path(os.environ["S2F_GRID"], speaker, f"{name}.mpg")


def _read(path):
    try:
        with decode.open_video(path) as container:
            reader = video.VideoReader(container)
            pictures = [reader.to_rgb(f) for f in reader.at_rate(25, 0.0, SENTENCE)]
            samples, rate, _ = decode.decode_sound(path, reader.origin, reader.origin + SENTENCE)
    except decode.BadClip:
        return None
    if len(pictures) < 75 or pictures[0].shape != (288, 360, 3):
        return None
    return pictures, samples[: round(SENTENCE * rate)], rate


def write(
    path, takes, *, height=1920, fps=30000 / 1001, jitter=0.004, codec="libx264", turn=90, **options
):
    """Writes sentences one after the other; the picture is upright once it is turned.

    Args:
      path: The mp4 or mov.
      takes: The sentences, any iterable of `sentences`' items.
      height: Of the upright picture, which is 9/16 as wide, pixels.
      fps: Nominal frame rate.
      jitter: Largest deviation of a frame's time from the nominal one, seconds.
      codec: FFmpeg's name of the encoder.
      turn: Degrees that a player turns the stored picture by, counter-clockwise.
      **options: Of the encoder.
    """
    size = height * 9 // 16, height
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=30, options=options)
        stream.width, stream.height = size[::-1] if turn % 180 else size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _TICK
        stream.set_display_rotation(turn)
        track = file.add_stream("aac", rate=48000, layout="stereo")
        track.bit_rate = 128000
        frame_number = 0
        for number, (_, pictures, samples, rate) in enumerate(takes):
            start = number * SENTENCE
            _mux_sound(file, track, samples, rate, start)
            while (time := frame_number / fps) < start + SENTENCE:
                nearest = round(
                    (time - start) * 25
                )  # Held from its time on, it would be 20 ms late.
                shown = pictures[min(nearest, len(pictures) - 1)]
                frame = _stored(shown, size, turn)
                frame.time_base = _TICK
                frame.pts = round(max(0.0, time + rng.uniform(-jitter, jitter)) / _TICK)
                file.mux(stream.encode(frame))
                frame_number += 1
        for last in (stream, track):
            file.mux(last.encode(None))
    return path


def _mux_sound(file, track, samples, rate, start):
    whole = round(SENTENCE * 48000)
    heard = sound.fit_length(sound.resample(sound.to_mono_float(samples), rate, 48000), whole)
    frame = av.AudioFrame.from_ndarray(np.stack([heard, heard]).astype("f4"), "fltp", "stereo")
    frame.sample_rate, frame.pts = 48000, round(start * 48000)
    frame.time_base = fractions.Fraction(1, 48000)
    file.mux(track.encode(frame))


def _stored(picture, size, turn):
    # The middle of GRID's picture, 9/16 as wide as high.
    width = picture.shape[0] * 9 // 16
    left = (picture.shape[1] - width) // 2
    upright = cv2.resize(picture[:, left : left + width], size, interpolation=cv2.INTER_CUBIC)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(upright, -turn // 90)), "rgb24")
