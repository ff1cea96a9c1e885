"""Training examples of a lip reader: crops of the mouth of aligned faces, and their letters."""

import dataclasses

import cv2
import numpy as np
from numpy.typing import ArrayLike

from data_pipelines.common.errors import CorruptRecord
from data_pipelines.loading import charset
from data_pipelines.loading.dataset import TRAINING_FEATURES, DatasetClip

FEATURES = (
    *TRAINING_FEATURES,
    "speaker",
    "transcript",
    "words",
)  # Of the shards, to make examples.

# The middle of the mouth (x, y) and its width in an aligned 128 x 96 image: the means over 12 speakers
# of GRID, but for 2 px more of chin, since a mouth opens downwards.
_MIDDLE, _WIDTH = (49.7, 88.0), 27.2


@dataclasses.dataclass(frozen=True)
class MouthCrop:
    """A fixed crop of aligned faces, centred on the canonical mouth.

    Attributes:
      height: Pixels.
      width: Pixels.
      mouth_width: Pixels of the crop between the corners of the canonical mouth.
    """

    height: int
    width: int
    mouth_width: float

    def transform(self, height: int, width: int, shift: ArrayLike = (0, 0)) -> np.ndarray:
        """Computes the affine transform from an aligned face to the crop.

        Args:
          height: Height of the face, pixels.
          width: Width of the face, pixels.
          shift: (x, y), pixels of the crop.

        Returns:
          float64 [2, 3].
        """
        share = np.array((width / 96, height / 128))
        scale = self.mouth_width / (_WIDTH * share)
        middle = (np.array(_MIDDLE) + 0.5) * share - 0.5
        centre = (np.array((self.width, self.height)) - 1) / 2
        return np.column_stack([np.diag(scale), centre - scale * middle + np.asarray(shift)])

    def __call__(
        self, frames: np.ndarray, shift: ArrayLike = (0, 0), out: np.ndarray | None = None
    ) -> np.ndarray:
        """Crops frames.

        Args:
          frames: Aligned faces, uint8 [T, H, W, 3].
          shift: (x, y), pixels of the crop.
          out: The array to write into; None: a new one.

        Returns:
          uint8 [T, height, width, 3].
        """
        transform = self.transform(frames.shape[1], frames.shape[2], shift)
        if out is None:
            out = np.empty((len(frames), self.height, self.width, 3), np.uint8)
        size, edge = (self.width, self.height), cv2.BORDER_REPLICATE
        for face, mouth in zip(frames, out, strict=True):
            cv2.warpAffine(face, transform, size, mouth, borderMode=edge)
        return out


def jitter_indices(
    count: int, max_count: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws temporal jitter: each frame is dropped or repeated with a probability of share / 2.

    Args:
      count: Frames of the clip.
      max_count: Largest number of frames in the result; beyond it, some frames are not repeated.
      share: Share of jittered frames, in [0, 1].
      rng: The source of randomness.

    Returns:
      Indices of frames, in order.
    """
    repeats = rng.choice(3, count, p=(share / 2, 1 - share, share / 2))
    twice = np.flatnonzero(repeats == 2)
    excess = min(max(repeats.sum() - max_count, 0), len(twice))
    repeats[rng.choice(twice, excess, replace=False)] = 1
    return np.repeat(np.arange(count), repeats)[:max_count]


def ctc_steps(letters: np.ndarray) -> int:
    """Counts the steps of time that CTC needs: one a letter, and a blank between two that are equal.

    With fewer optax.ctc_loss (0.2.8) returns 100,000 nats and more, with a gradient as large as any other's.

    Args:
      letters: Classes, [N].

    Returns:
      The least number of steps.
    """
    return len(letters) + int((letters[1:] == letters[:-1]).sum())


def letters_in_time(clip: DatasetClip, steps_per_frame: int) -> np.ndarray:
    """Spreads the letters of each word, and a space after it, evenly over the word's time.

    Args:
      clip: The clip.
      steps_per_frame: Steps of time in a frame.

    Returns:
      The class of each step, int32 [steps_per_frame * T]: the blank between words; all -1 where the
      words' times are unknown.
    """
    rate = steps_per_frame * clip.fps
    classes = np.full(steps_per_frame * len(clip), charset.BLANK if clip.words else -1, np.int32)
    for text, start, end in clip.words:
        letters = charset.encode(charset.clean(text) + " ")
        first, last = round(start * rate), round(end * rate)
        own = classes[max(first, 0) : last]
        own[:] = letters[np.arange(len(own)) * len(letters) // max(last - first, 1)]
    return classes


def lipreading_example(
    clip: DatasetClip,
    rng: np.random.Generator,
    mirror: bool,
    out: np.ndarray | None,
    *,
    crop: MouthCrop,
    frames: int,
    max_letters: int,
    jitter: float,
    shift: float,
    steps_per_frame: int = 1,
) -> dict[str, np.ndarray]:
    """Makes a training example of a lip reader.

    Args:
      clip: The clip.
      rng: Random generator for jitter and shift.
      mirror: Whether left and right are swapped.
      out: The array to write the frames into; None: a new one.
      crop: Crop of the mouth.
      frames: Length of the example.
      max_letters: Length of the letters.
      jitter: Share of frames that are dropped or repeated.
      shift: The largest random shift, pixels of the crop.
      steps_per_frame: Steps of time in a frame, of `steps`.

    Returns:
      frames, uint8 [frames, height, width, 3]; mask, bool [frames], True for frames of the clip;
      letters, int32 [max_letters], -1 after the last; steps, int32 [steps_per_frame * frames], the
      letters where they are said (`letters_in_time`), -1 in padding.

    Raises:
      CorruptRecord: The clip or its transcript is too long, the transcript too long for the clip, or it has
        other characters.
    """
    try:
        letters = charset.encode(charset.clean(clip.transcript))
        said = letters_in_time(clip, steps_per_frame).reshape(-1, steps_per_frame)
    except ValueError as error:
        raise CorruptRecord(f"{clip.location}: {error}") from error
    if not 0 < len(letters) <= max_letters or len(clip) > frames:
        raise CorruptRecord(
            f"{clip.location}, {clip.id}, has {len(clip)} frames and {len(letters)} letters: the"
            f" limits are {frames} (--config.clip_frames) and {max_letters}"
            " (--config.lipreader.letters)"
        )
    needed = -(-ctc_steps(letters) // steps_per_frame)
    if needed > len(clip):
        raise CorruptRecord(
            f"{clip.location}, {clip.id}, has {len(clip)} frames for {len(letters)} letters, too few for"
            " CTC: raise --config.lipreader.steps_per_frame"
        )
    indices = jitter_indices(len(clip), frames, jitter, rng)
    if needed > len(indices):
        indices = np.arange(len(clip))
    faces = clip.decode(0, len(clip), mirror=mirror)
    if out is None:
        out = np.empty((frames, crop.height, crop.width, 3), np.uint8)
    crop(faces[indices], rng.uniform(-shift, shift, 2), out[: len(indices)])
    out[len(indices) :] = 0
    padded = np.full(max_letters, -1, np.int32)
    padded[: len(letters)] = letters
    steps = np.full((frames, steps_per_frame), -1, np.int32)
    steps[: len(indices)] = said[indices]
    mask = np.arange(frames) < len(indices)
    return {"frames": out, "mask": mask, "letters": padded, "steps": steps.reshape(-1)}
