"""What a clip's sound and lips say about its quality: levels, silence, and how far they are apart.

m [T] is the opening between the inner lips over the distance between the eyes; the loudness [T]
is that of every video frame's own samples.
"""

import itertools

import cv2
import numpy as np

_UPPER_LIP, _LOWER_LIP = (61, 62, 63), (67, 66, 65)  # iBUG's inner lips, opposite each other.
_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)
_FLOOR = 1.0  # RMS below it, of 32768, is digital silence.
_FULL_SCALE = 32750  # Of 32767: what a limiter or a decoder cut off lies above it.
_SPEECH = 25.0  # dB under the clip's loud frames (95 % are softer) is silence.
_LAGS = 15  # Frames, to either side.
_DEPTH = 30.0  # dB under the loudest frame, below which changes of the sound are noise.
_STILL = 1e-6  # A spread below it is rounding.
# Levels of 255, the mean difference of two frames. Of GRID's any two differ by 1 at least, drawn faces
# at rest by 0.5; a picture that stands still, by 0.2, since it is encoded again.
_FROZEN = 0.3


def mouth_opening(landmarks: np.ndarray) -> np.ndarray:
    """landmarks [T, 68, 2] -> m [T], float64."""
    points = np.asarray(landmarks, np.float64)
    lips = points[:, _LOWER_LIP] - points[:, _UPPER_LIP]
    eyes = points[:, _LEFT_EYE].mean(1) - points[:, _RIGHT_EYE].mean(1)
    return np.linalg.norm(lips, axis=-1).mean(1) / np.linalg.norm(eyes, axis=-1)


def eye_aspect_ratio(landmarks: np.ndarray) -> np.ndarray:
    """landmarks [T, 68, 2] -> (|p2 p6| + |p3 p5|) / (2 |p1 p4|), mean of both eyes, [T]."""
    points = np.asarray(landmarks, np.float64)
    ratios = []
    for eye in (_RIGHT_EYE, _LEFT_EYE):
        p1, p2, p3, p4, p5, p6 = np.moveaxis(points[:, eye], 1, 0)
        heights = np.linalg.norm(p2 - p6, axis=-1) + np.linalg.norm(p3 - p5, axis=-1)
        ratios.append(heights / (2 * np.linalg.norm(p1 - p4, axis=-1)))
    return np.mean(ratios, axis=0)


def loudness(audio: np.ndarray, frames: int) -> np.ndarray:
    """int16 [S] over so many frames, S no fewer -> the RMS of every frame in dB, [frames]."""
    edges = np.arange(frames + 1) * len(audio) // frames
    samples = np.asarray(audio, np.float64)
    rms = np.sqrt(np.add.reduceat(samples**2, edges[:-1]) / np.diff(edges))
    return 20 * np.log10(np.maximum(rms, _FLOOR) / 32768)


def audio_measures(audio: np.ndarray, frames: int, fps: int) -> dict[str, float]:
    """int16 [frames * stride] -> its measures, under their names in check.MEASURES.

    level (dBFS, RMS of the frames with speech), peak (dBFS), dynamics (dB, loud frames over quiet
    ones), clipped (% of the samples), clipped_run (samples), silence (% of the frames), lead and trail (s of silence), dc (% of full
    scale). A clip of digital silence has a level of -90 and no speech.
    """
    samples = np.asarray(audio, np.float64)
    levels = loudness(audio, frames)
    quiet, loud = np.percentile(levels, [5, 95])
    speech = levels > max(loud - _SPEECH, 20 * np.log10(_FLOOR / 32768))
    spoken = np.flatnonzero(speech)
    level = 10 * np.log10(np.mean(10 ** (levels[speech] / 10))) if len(spoken) else levels.min()
    full = np.abs(samples) >= _FULL_SCALE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]])))
    runs = edges[1::2] - edges[::2]
    return {
        "level": float(level),
        "peak": float(20 * np.log10(max(np.abs(samples).max(), _FLOOR) / 32768)),
        "dynamics": float(loud - quiet),
        "clipped": 100 * float(full.mean()),
        "clipped_run": float(runs.max(initial=0)),
        "silence": 100 * float(1 - speech.mean()),
        "lead": float(spoken[0] if len(spoken) else frames) / fps,
        "trail": float(frames - 1 - spoken[-1] if len(spoken) else frames) / fps,
        "dc": 100 * float(abs(samples.mean())) / 32768,
    }


def audio_offset(opening: np.ndarray, levels: np.ndarray) -> tuple[float, float]:
    """m [T] and loudness [T] -> by how many frames the sound is late, and how strongly they agree.

    The lag within 15 frames at which their changes correlate best, and that correlation; changes,
    since they are sharper in time than what changes. Both NaN where the mouth does not move, the
    sound has one level, or the clip is too short for every lag.
    """
    changes = [np.gradient(opening), np.gradient(np.maximum(levels, levels.max() - _DEPTH))]
    if len(opening) < 3 * _LAGS or min(np.std(opening), np.std(levels)) < _STILL:
        return np.nan, np.nan
    correlations = []
    for lag in range(-_LAGS, _LAGS + 1):
        mouth, voice = (
            changes[0][max(-lag, 0) : len(opening) - max(lag, 0)],
            changes[1][max(lag, 0) : len(opening) - max(-lag, 0)],
        )
        mouth, voice = mouth - mouth.mean(), voice - voice.mean()
        norm = np.sqrt((mouth @ mouth) * (voice @ voice))
        correlations.append(mouth @ voice / norm if norm > _STILL**2 else 0.0)
    best = int(np.argmax(correlations))
    return float(best - _LAGS), float(correlations[best])


def frozen_percent(frames: np.ndarray) -> float:
    """uint8 [T, H, W, 3] -> % of the frames that repeat the one before."""
    repeats = [np.mean(cv2.absdiff(a, b)) < _FROZEN for a, b in itertools.pairwise(frames)]
    return 100 * float(np.mean(repeats)) if repeats else 0.0


def color_warmth(frames: np.ndarray) -> float:
    """uint8 [T, H, W, 3] RGB -> mean red minus mean blue, -255 to 255."""
    red, _, blue, _ = np.mean([cv2.mean(frame) for frame in frames], axis=0)
    return float(red - blue)
