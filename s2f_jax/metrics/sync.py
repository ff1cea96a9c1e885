"""Audio-visual synchrony by SyncNet's protocol (Chung and Zisserman 2016).

Offsets have SyncNet's sign: the number of frames by which the audio is early. Video that is k frames
late has an offset of k, and so has audio that is k frames early.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from data_pipelines.loading import loader, training_examples
from data_pipelines.media.sound import resample, to_mono_float
from s2f_jax.metrics.scoring import (
    NOT_NEGATIVE,
    SHARE,
    ClipPair,
    Metric,
    Score,
    Scorer,
    Scores,
    missing_scores,
)
from s2f_jax.models import pixels
from s2f_jax.models.sync_network import FRAMES, SyncNetwork, sound_window

MAX_LAG = 15  # Frames, to either side.
MIN_FRAMES = FRAMES + 2 * MAX_LAG  # Frames of a clip, of which one window has all the lags.
MIN_CONFIDENCE = 1.0  # Up to it an offset is arbitrary.

_GROUP = "synchrony"
METRICS = (
    Metric("sync_offset", "Sync offset", "audio ahead of lips", "", 2, "frames", _GROUP, (0,)),
    Metric("sync_distance", "Sync distance", "of audio and lips", "lower", group=_GROUP, bounds=NOT_NEGATIVE),
    # The next three are of a sync network on real clips, by s2f_jax/evaluation/sync_offsets.py.
    Metric("offset_0", "Offset 0", "share of the clips", "higher", 3, anchors=(0, 1), bounds=SHARE),
    Metric("offset_within_1", "Offset within 1 frame", "share of the clips", "higher", 3, anchors=(0, 1), bounds=SHARE),
    Metric("shift_found", "Shift accuracy", "of audio shifted by -5 to 5 frames", "higher", 3, anchors=(0, 1), bounds=SHARE),
    Metric("sync_confidence", "Sync confidence", "of audio and lips", "higher", group=_GROUP, bounds=NOT_NEGATIVE),
)  # fmt: skip


def lag_distances(video_codes: np.ndarray, audio_codes: np.ndarray) -> np.ndarray:
    """Computes the distances of a clip's video windows to its audio at all lags.

    Only windows with 15 others on either side count, each against the audio of all 31: column
    15 + k is the distance if the audio is k frames early. All columns are of the same video
    windows, so that only the audio tells them apart.

    Args:
      video_codes: [n, features].
      audio_codes: [n, features], of the same moments.

    Returns:
      [n - 30, 31].

    Raises:
      ValueError: There are fewer than 31 windows.
    """
    if len(video_codes) <= 2 * MAX_LAG:
        raise ValueError(f"{len(video_codes)} windows: none has {MAX_LAG} others on either side")
    windows = np.arange(MAX_LAG, len(video_codes) - MAX_LAG)
    lags = windows[:, None] - np.arange(-MAX_LAG, MAX_LAG + 1)
    return np.linalg.norm(video_codes[windows, None] - audio_codes[lags], axis=-1)


def offset(curve: np.ndarray) -> int:
    """Finds the offset of the smallest distance.

    SyncNet counts columns the other way, by the audio's lag, and has 15 - argmin.

    Args:
      curve: Mean distance [31] at the offsets -15, ... 15.

    Returns:
      Frames in [-15, 15].
    """
    return int(np.argmin(curve)) - MAX_LAG


def confidence(curve: np.ndarray) -> float:
    """Computes SyncNet's confidence, the median distance minus the smallest.

    Args:
      curve: Mean distance [31] at the offsets -15, ... 15.

    Returns:
      0 or more; 0 where all offsets are alike.
    """
    return float(np.median(curve) - np.min(curve))


class SyncScorer(Scorer):
    """Measures the synchrony of aligned faces and audio, by a trained sync network.

    Curve: sync_distance [31], the mean distance at the offsets -15, ... 15.

    Args:
      network: The network.
      variables: Variables of the network.
      size: Height and width of the faces in pixels.
      fps: Frames per second.
      unit: Confidence, in the network's own distance, that is reported as 1.
      name: Name of the network, for the report.
    """

    metrics = ("sync_offset", "sync_distance", "sync_confidence")

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
        self.size, self.fps, self.rate = size, fps, network.audio_rate
        self._unit = unit
        self._video_codes, self._audio_codes = (
            jax.jit(functools.partial(network.apply, variables, method=method))
            for method in ("encode_frames", "encode_sound")
        )
        self.conventions = {
            "sync": (
                f"SyncNet's protocol: {FRAMES} frames against 0.2 s of sound, {MAX_LAG} frames earlier"
                f" to {MAX_LAG} later, every lag over the same frames; the distance is the least of the"
                " lags' mean distances, the confidence the median minus the least, the offset by how"
                " many frames the sound is early, reported where the confidence is above"
                f" {MIN_CONFIDENCE:g}"
            ),
            "sync_network": f"{name}; 1 is {unit:.2f} of its own distance",
        }

    def encode_video(self, video: np.ndarray) -> np.ndarray:
        """Encodes every window of five frames.

        Args:
          video: Aligned faces uint8 [T, H, W, 3].

        Returns:
          [T - 4, features].
        """
        # Padded to few lengths, since each is compiled.
        frames = np.zeros((1, loader.padded_length(len(video)), *video.shape[1:]), np.float32)
        frames[0, : len(video)] = pixels.from_uint8(video)
        return np.asarray(self._video_codes(frames))[0, : len(video) - FRAMES + 1]

    def encode_audio(self, audio: np.ndarray, frames: int) -> np.ndarray:
        """Encodes the audio of every window of five frames.

        Args:
          audio: int16, or float32 in [-1, 1], at the network's rate, as long as the video.
          frames: T, the video's length.

        Returns:
          [T - 4, features], of the same moments as those of `encode_video`.
        """
        window, stride = sound_window(self.rate), self.rate // self.fps
        count = loader.padded_length(frames)
        samples = to_mono_float(audio)
        padded = training_examples.cut_audio(samples, FRAMES // 2, count, window, stride)
        windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::stride]
        return np.asarray(self._audio_codes(windows))[: frames - FRAMES + 1]

    def score(self, pair: ClipPair) -> Scores:
        """Scores one video.

        Args:
          pair: The video, and the real clip whose audio it is compared with.

        Returns:
          Offset, distance and confidence; all a reason where the network does not fit the video.
        """
        if reason := self._unfit(pair):
            return missing_scores(self.metrics, reason)
        audio = resample(to_mono_float(pair.audio), pair.audio_rate, self.rate)
        audio_codes = self.encode_audio(audio, len(pair.video))
        distances = lag_distances(self.encode_video(pair.video), audio_codes)
        curve = distances.mean(axis=0) / self._unit
        certainty = confidence(curve)
        offset_found: Score = "a confidence of 1 or less"
        if certainty > MIN_CONFIDENCE:
            offset_found = float(offset(curve))
        values = {
            "sync_offset": offset_found,
            "sync_distance": float(np.min(curve)),
            "sync_confidence": certainty,
        }
        return Scores(values, curves={"sync_distance": curve})

    def _unfit(self, pair: ClipPair) -> str:
        """Why a pair cannot be scored; "" where it can."""
        too_short = f"fewer than {MIN_FRAMES} frames, too short for {MAX_LAG} on either side"
        reasons = {
            "no sound": not pair.audio.size,
            "the sound is silence": not np.any(pair.audio),
            "the faces are not aligned": not pair.aligned,
            "another size than the sync network's": pair.video.shape[1:3] != self.size,
            "another frame rate than the sync network's": round(pair.fps, 2) != self.fps,
            too_short: len(pair.video) < MIN_FRAMES,
        }
        return next((reason for reason, holds in reasons.items() if holds), "")
