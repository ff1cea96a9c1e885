"""One stored example to what the networks train on: a window of frames, its sound, mirrored or not."""

import numpy as np


def mirror_frames(frames: np.ndarray) -> np.ndarray:
    """[..., H, W, C] left to right."""
    return frames[..., ::-1, :]


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


def training_window(
    clip, first: int, frames: int, window: int, mirror: bool
) -> dict[str, np.ndarray]:
    """Frames first ... first + frames of a clip, padded where it ends; the still is frame 0.

    Returns frames uint8 [frames, H, W, 3], still uint8 [H, W, 3], audio int16
    [frames * stride + window - stride], mask bool [frames] (True: a frame of the clip).
    """
    count = min(frames, len(clip) - first)
    decoded = clip.decode(first, count)
    still = decoded[0] if first == 0 else clip.decode(0, 1)[0]
    if mirror:
        decoded, still = mirror_frames(decoded), mirror_frames(still)
    padded = np.zeros((frames, *decoded.shape[1:]), np.uint8)
    padded[:count] = decoded
    return {
        "frames": padded,
        "still": np.ascontiguousarray(still),
        "audio": cut_audio(clip.audio, first, frames, window, clip.stride),
        "mask": np.arange(frames) < count,
    }
