"""One stored example to what the networks train on: a window of frames, its sound, mirrored or not."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens at random to the sound of a training clip; the paper does nothing."""

    gain_db: float = 0.0  # Louder or softer by at most so much.
    snr_db: tuple[float, ...] = ()  # White noise: the clip's level over its, from ... to; or none.
    shift_ms: float = 0.0  # Earlier or later than the picture by at most so much.

    def __bool__(self) -> bool:
        return bool(self.gain_db or self.snr_db or self.shift_ms)

    def __call__(self, audio: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        """A clip's sound, int16 [S] -> int16 [S]; each of the three is uniform in its range.

        The noise goes with the gain. What is moved in from outside the clip is silence.
        """
        shift = round(rng.uniform(-self.shift_ms, self.shift_ms) * rate / 1000)
        gain = 10 ** (rng.uniform(-self.gain_db, self.gain_db) / 20)
        sound = audio.astype(np.float32)
        if self.snr_db:
            low, high = self.snr_db
            snr = rng.uniform(low, high)
            level = np.sqrt(np.mean(np.square(sound, dtype=np.float64))) / 10 ** (snr / 20)
            sound += np.float32(level) * rng.standard_normal(len(sound), np.float32)
        louder = np.clip(np.round(gain * sound), -32768, 32767).astype(np.int16)
        return cut_audio(louder, -shift, len(louder), 1, 1)


PLAIN = Augmentation()  # Of the paper: none.


def audio_margins(window: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a clip's sound, so that window i is centred on frame i."""
    left = (window - stride) // 2
    return left, window - stride - left


def cut_audio(audio: np.ndarray, first: int, frames: int, window: int, stride: int) -> np.ndarray:
    """audio int16 [n] -> [frames * stride + window - stride] for frames first, first + 1, ...

    What lies outside the clip is silence; what lies inside it and outside the frames is kept.
    """
    left, _ = audio_margins(window, stride)
    start = first * stride - left
    out = np.zeros(frames * stride + window - stride, audio.dtype)
    low, high = max(start, 0), min(start + len(out), len(audio))
    out[low - start : high - start] = audio[low:high]
    return out


def training_example(
    clip,
    rng: np.random.Generator,
    mirror: bool,
    out: np.ndarray | None,
    *,
    frames: int,
    window: int,
    augment: Augmentation = PLAIN,
) -> dict[str, np.ndarray]:
    """`training_window` of a clip; of one longer than that a window at random."""
    if augment:
        sound = augment(clip.audio, clip.audio_rate, rng)
        clip = dataclasses.replace(clip, audio=sound)
    first = int(rng.integers(max(len(clip) - frames, 0) + 1))
    return training_window(clip, first, frames, window, mirror, out)


def training_window(
    clip, first: int, frames: int, window: int, mirror: bool, out: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Frames first ... first + frames of a clip, padded where it ends; the still is frame 0.

    Returns frames uint8 [frames, H, W, 3], still uint8 [H, W, 3], audio int16
    [frames * stride + window - stride], mask bool [frames] (True: a frame of the clip).
    out: the array to write the frames into.
    """
    count = min(frames, len(clip) - first)
    decoded = clip.decode(first, count, frames, mirror, out)
    return {
        "frames": decoded,
        "still": decoded[0] if first == 0 else clip.decode(0, 1, mirror=mirror)[0],
        "audio": cut_audio(clip.audio, first, frames, window, clip.stride),
        "mask": np.arange(frames) < count,
    }
