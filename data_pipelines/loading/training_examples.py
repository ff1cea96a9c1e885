"""Training examples of a clip: a window of frames and its audio, mirrored and augmented."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from data_pipelines.loading.appearance import NO_CHANGE, Appearance, mirrored
from data_pipelines.media.pitch import shift_pitch

if TYPE_CHECKING:  # TFDS takes a second to import, and inference needs none of it.
    from data_pipelines.loading.dataset import DatasetClip


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of a training clip's audio; the paper has none.

    Attributes:
      gain_db: The largest gain and attenuation.
      snr_db: The lowest and highest signal-to-noise ratio of added white noise; (): no noise.
      shift_ms: The largest shift, earlier or later than the picture.
      voice: The largest change of pitch and formants, up or down, semitones.
    """

    gain_db: float = 0.0
    snr_db: tuple[float, ...] = ()
    shift_ms: float = 0.0
    voice: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.gain_db or self.snr_db or self.shift_ms or self.voice)

    def __call__(self, audio: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Applies the changes, each drawn uniformly from its range.

        The gain applies to the noise too. What is shifted in from outside the clip is silence.

        Args:
          audio: int16 [S].
          rate: Sampling rate in Hz.
          rng: The source of randomness.

        Returns:
          int16 [S].
        """
        shift = round(rng.uniform(-self.shift_ms, self.shift_ms) * rate / 1000)
        gain = 10 ** (rng.uniform(-self.gain_db, self.gain_db) / 20)
        if self.voice:
            audio = shift_pitch(audio, rate, rng.uniform(-self.voice, self.voice))
        sound = audio.astype(np.float32)
        if self.snr_db:
            low, high = self.snr_db
            snr = rng.uniform(low, high)
            level = np.sqrt(np.mean(np.square(sound, dtype=np.float64))) / 10 ** (snr / 20)
            sound += np.float32(level) * rng.standard_normal(len(sound), np.float32)
        louder = np.clip(np.round(gain * sound), -32768, 32767).astype(np.int16)
        return cut_audio(louder, -shift, len(louder), 1, 1)


NO_AUGMENTATION = Augmentation()


def augmentations(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the augmentations that a config asks for.

    Args:
      fields: The config's section `augment`.

    Returns:
      The arguments `augment` and `appearance` of `training_example`.
    """
    looks = {field.name for field in dataclasses.fields(Appearance)}
    return {
        "augment": Augmentation(**{n: v for n, v in fields.items() if n not in looks}),
        "appearance": Appearance(**{n: v for n, v in fields.items() if n in looks}),
    }


def audio_margins(window: int, stride: int) -> tuple[int, int]:
    """Computes the padding of a clip's audio that centres window i on frame i.

    Args:
      window: Number of samples of a window.
      stride: Samples per video frame.

    Returns:
      Samples before and after.
    """
    left = (window - stride) // 2
    return left, window - stride - left


def cut_audio(audio: np.ndarray, first: int, frames: int, window: int, stride: int) -> np.ndarray:
    """Cuts the audio of consecutive frames with the margins of their windows.

    Audio of the clip outside the frames is included; outside the clip there is silence.

    Args:
      audio: The clip's, [S].
      first: The first frame; may be negative.
      frames: Number of frames.
      window: Samples of a frame's window.
      stride: Samples per video frame.

    Returns:
      [frames * stride + window - stride], of the dtype of `audio`.
    """
    left, _ = audio_margins(window, stride)
    start = first * stride - left
    out = np.zeros(frames * stride + window - stride, audio.dtype)
    low, high = max(start, 0), min(start + len(out), len(audio))
    out[low - start : high - start] = audio[low:high]
    return out


def training_example(
    clip: "DatasetClip",
    rng: np.random.Generator,
    mirror: bool,
    out: np.ndarray | None,
    *,
    frames: int,
    window: int,
    augment: Augmentation = NO_AUGMENTATION,
    appearance: Appearance = NO_CHANGE,
) -> dict[str, np.ndarray]:
    """Makes a `training_window` at a random position of a clip.

    Args:
      clip: A clip of any length.
      rng: Random generator for position and augmentation.
      mirror: Whether left and right are swapped.
      out: The array to write the frames into; None: a new one.
      frames: Length of the example; a shorter clip is padded.
      window: Audio samples of a frame's window.
      augment: Augmentation of the audio.
      appearance: Augmentation of the looks, the same for the still and all frames.

    Returns:
      A window of the clip, as in training_window.
    """
    if augment:
        sound = augment(clip.audio, clip.audio_rate, rng)
        clip = dataclasses.replace(clip, audio=sound)
    first = int(rng.integers(max(len(clip) - frames, 0) + 1))
    example = training_window(clip, first, frames, window, mirror, out)
    if appearance:
        still = example["still"].copy()  # It may be a view of the first frame.
        landmarks = clip.landmarks
        if mirror:
            landmarks = mirrored(landmarks, still.shape[1])
        change = appearance.draw(still, landmarks, rng)
        change(still[None])
        change(example["frames"][: len(clip) - first])  # What pads them stays black.
        example["still"] = still
    return example


def training_window(
    clip: "DatasetClip",
    first: int,
    frames: int,
    window: int,
    mirror: bool,
    out: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Makes an example of consecutive frames of a clip, padded where it ends.

    Args:
      clip: The clip.
      first: The first frame.
      frames: Length of the example.
      window: Audio samples of a frame's window.
      mirror: Whether left and right are swapped.
      out: The array to write the frames into; None: a new one.

    Returns:
      frames, uint8 [frames, H, W, 3]; still, the clip's first frame, uint8 [H, W, 3]; audio, int16
      [frames * stride + window - stride]; mask, bool [frames], True for frames of the clip.
    """
    count = min(frames, len(clip) - first)
    decoded = clip.decode(first, count, frames, mirror, out)
    return {
        "frames": decoded,
        "still": decoded[0] if first == 0 else clip.decode(0, 1, mirror=mirror)[0],
        "audio": cut_audio(clip.audio, first, frames, window, clip.stride),
        "mask": np.arange(frames) < count,
    }
