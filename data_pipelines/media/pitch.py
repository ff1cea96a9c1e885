"""Other voices: the pitch and the formants of speech, moved together, at the same tempo."""

import contextlib

import av
import av.error
import numpy as np
from av.filter import Graph


def shift_pitch(audio: np.ndarray, rate: int, semitones: float) -> np.ndarray:
    """Raises or lowers a sound, as if its speaker were smaller or larger; all stays where it is in time.

    By FFmpeg's filters: played faster, then stretched by overlap and add (atempo), and sampled anew.
    Speech moves by some 10 ms, a beginning after silence by up to 50 ms.

    Args:
      audio: int16 [S].
      rate: Sampling rate in Hz.
      semitones: Up, or down if negative, in [-12, 12].

    Returns:
      int16 [S].
    """
    factor = 2 ** (semitones / 12)
    played = round(rate * factor)
    if not len(audio) or played == rate:
        return audio
    graph = Graph()
    graph.link_nodes(
        graph.add_abuffer(sample_rate=rate, format="s16", layout="mono"),
        graph.add("asetrate", str(played)),
        graph.add("atempo", f"{rate / played:.9f}"),
        graph.add("aresample", str(rate)),
        graph.add("abuffersink"),
    ).configure()
    frame = av.AudioFrame.from_ndarray(audio[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    graph.push(frame)
    graph.push(None)
    parts = []
    with contextlib.suppress(av.error.EOFError):
        while True:
            parts.append(graph.pull().to_ndarray()[0])
    if not parts:  # Shorter than half of the filter's window: findings/ffmpeg_atempo_short.sh.
        return audio
    shifted, moved = np.zeros_like(audio), np.concatenate(parts)[: len(audio)]
    shifted[: len(moved)] = moved
    return shifted
