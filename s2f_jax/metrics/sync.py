"""How well lips and sound go together: SyncNet's protocol (Chung & Zisserman 2016).

Offsets have SyncNet's sign: by how many frames the sound is early. A picture that comes k frames
later than it should has an offset of k, and so has a sound that comes k frames too soon.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from data_pipelines.loading import loader, training_examples
from data_pipelines.media.sound import resample, to_mono_float
from s2f_jax.metrics.scoring import Score, Scores, VideoPair, missing_scores
from s2f_jax.models.sync_network import FRAMES, SyncNetwork, sound_window

MAX_LAG = 15  # Frames, to either side.
MIN_FRAMES = FRAMES + 2 * MAX_LAG  # Frames of a clip, one of whose windows has all the lags.
MIN_CONFIDENCE = 1.0  # Up to it an offset is arbitrary.

METRICS = ("sync_offset", "sync_distance", "sync_confidence")


def lag_distances(seen: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Codes of a clip's pictures and of the same moments' sound, [n, features] each -> [n - 30, 31].

    Of the pictures that have 15 moments on either side, each against the sound of all 31: column
    15 + k is the distance under the assumption that the sound is k frames early. All columns are of
    the same pictures, so that what tells them apart is the sound alone.

    Raises ValueError for fewer than 31 moments.
    """
    if len(seen) <= 2 * MAX_LAG:
        raise ValueError(f"{len(seen)} moments have no {MAX_LAG} on either side of any")
    moments = np.arange(MAX_LAG, len(seen) - MAX_LAG)
    lags = moments[:, None] - np.arange(-MAX_LAG, MAX_LAG + 1)
    return np.linalg.norm(seen[moments, None] - heard[lags], axis=-1)


def offset(curve: np.ndarray) -> int:
    """Mean distance [31] at offsets -15, ... 15 -> that of the least.

    SyncNet counts columns the other way, by the sound's lag, and has 15 - argmin.
    """
    return int(np.argmin(curve)) - MAX_LAG


def confidence(curve: np.ndarray) -> float:
    """The median of the mean distances [31] minus their least; 0: all offsets are alike."""
    return float(np.median(curve) - np.min(curve))


class SyncScorer:
    """An instrument: the lips of aligned faces against the sound, by a trained sync network."""

    metrics = METRICS

    def __init__(
        self,
        network: SyncNetwork,
        variables: Mapping[str, Any],
        *,
        size: tuple[int, int],
        fps: int,
        unit: float,
        name: str,
    ):
        """size: height and width of the faces; unit: the confidence, in the network's own distance,
        that is called 1; name: of the network, for the report."""
        self.size, self.fps, self.rate = size, fps, network.audio_rate
        self._unit = unit
        self._see, self._hear = (
            jax.jit(functools.partial(network.apply, variables, method=method))
            for method in ("see", "hear")
        )
        self.about = {
            "sync": (
                f"SyncNet's protocol: {FRAMES} frames against 0.2 s of sound, {MAX_LAG} frames earlier"
                f" to {MAX_LAG} later, every lag over the same frames; the distance is the least of the"
                " lags' mean distances, the confidence the median minus the least, the offset by how"
                " many frames the sound is early, reported where the confidence is above"
                f" {MIN_CONFIDENCE:g}"
            ),
            "sync_network": f"{name}; 1 is {unit:.2f} of its own distance",
        }

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        return [self._score(pair) for pair in pairs]

    def see(self, video: np.ndarray) -> np.ndarray:
        """Aligned faces uint8 [T, H, W, 3] -> the code of every five in a row, [T - 4, features]."""
        # Few lengths, since each is compiled.
        frames = np.zeros((1, loader.padded(len(video)), *video.shape[1:]), np.float32)
        frames[0, : len(video)] = video / np.float32(127.5) - 1
        return np.asarray(self._see(frames))[0, : len(video) - FRAMES + 1]

    def hear(self, sound: np.ndarray, frames: int) -> np.ndarray:
        """int16 or float32 in [-1, 1] at the network's rate, as long as that many video frames ->
        the codes of the same moments as `see`, [frames - 4, features]."""
        window, stride = sound_window(self.rate), self.rate // self.fps
        sound = to_mono_float(sound)
        moments = loader.padded(frames)
        padded = training_examples.cut_audio(sound, FRAMES // 2, moments, window, stride)
        windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::stride]
        return np.asarray(self._hear(windows))[: frames - FRAMES + 1]

    def _score(self, pair: VideoPair) -> Scores:
        if reason := self._unfit(pair):
            return missing_scores(METRICS, reason)
        sound = resample(to_mono_float(pair.audio), pair.audio_rate, self.rate)
        heard = self.hear(sound, len(pair.video))
        curve = lag_distances(self.see(pair.video), heard).mean(axis=0) / self._unit
        sure = confidence(curve)
        found: Score = (
            float(offset(curve)) if sure > MIN_CONFIDENCE else "a confidence of 1 or less"
        )
        values = {
            "sync_offset": found,
            "sync_distance": float(np.min(curve)),
            "sync_confidence": sure,
        }
        return Scores(values, curves={"sync_distance": curve})

    def _unfit(self, pair: VideoPair) -> str:
        """Why this pair cannot be scored; empty: it can."""
        if not pair.audio.size:
            return "no sound"
        if not np.any(pair.audio):
            return "the sound is silence"
        if not pair.aligned:
            return "the faces are not aligned"
        if pair.video.shape[1:3] != self.size:
            return "another size than the sync network's"
        if round(pair.fps, 2) != self.fps:
            return "another frame rate than the sync network's"
        if len(pair.video) < MIN_FRAMES:
            return f"fewer than {MIN_FRAMES} frames, too short for {MAX_LAG} on either side"
        return ""
