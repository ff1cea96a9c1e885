"""Mouths: what a lip reader sees of an aligned face, and how its training examples vary it."""

import dataclasses

import cv2
import numpy as np
from numpy.typing import ArrayLike

from data_pipelines.common.errors import CorruptRecord
from data_pipelines.loading import charset
from data_pipelines.loading.dataset import TRAINED_ON

FEATURES = (*TRAINED_ON, "transcript", "words")  # Of the shards, that an example is made from.

# The middle of the mouth (x, y) and its width in an aligned 128 x 96 image: the means over 12 speakers
# of GRID, but for 2 px more of chin, since a mouth opens downwards.
_MIDDLE, _WIDTH = (49.7, 88.0), 27.2


@dataclasses.dataclass(frozen=True)
class MouthCrop:
    """The same part of every aligned face, which the canonical mouth lies in the middle of."""

    height: int  # Pixels.
    width: int
    mouth: float  # Pixels of the crop from one corner of the canonical mouth to the other.

    def transform(self, height: int, width: int, shift: ArrayLike = (0, 0)) -> np.ndarray:
        """From an aligned face of that size to the crop, [2, 3]; shift (x, y): in its pixels."""
        share = np.array((width / 96, height / 128))
        scale = self.mouth / (_WIDTH * share)
        middle = (np.array(_MIDDLE) + 0.5) * share - 0.5
        to = (np.array((self.width, self.height)) - 1) / 2
        return np.column_stack([np.diag(scale), to - scale * middle + np.asarray(shift)])

    def __call__(
        self,
        frames: np.ndarray,
        shift: ArrayLike = (0, 0),
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Aligned faces uint8 [T, H, W, 3] -> uint8 [T, height, width, 3], into `out` if given."""
        transform = self.transform(frames.shape[1], frames.shape[2], shift)
        if out is None:
            out = np.empty((len(frames), self.height, self.width, 3), np.uint8)
        size, edge = (self.width, self.height), cv2.BORDER_REPLICATE
        for face, mouth in zip(frames, out, strict=True):
            cv2.warpAffine(face, transform, size, mouth, borderMode=edge)
        return out


def jittered(count: int, most: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Which of `count` frames are seen, in order: each is left out, or seen twice, with a
    probability of share / 2. No more than `most` in all; then some are not seen twice."""
    seen = rng.choice(3, count, p=(share / 2, 1 - share, share / 2))
    twice = np.flatnonzero(seen == 2)
    excess = min(max(seen.sum() - most, 0), len(twice))
    seen[rng.choice(twice, excess, replace=False)] = 1
    return np.repeat(np.arange(count), seen)[:most]


def reading_example(
    clip,
    rng: np.random.Generator,
    mirror: bool,
    out: np.ndarray | None,
    *,
    crop: MouthCrop,
    frames: int,
    letters_room: int,
    jitter: float,
    shift: float,
) -> dict[str, np.ndarray]:
    """A training example of a lip reader: mouths, and what they say.

    frames: the room in time. jitter: see `jittered`. shift: pixels of the crop, to either side.
    Returns frames uint8 [frames, height, width, 3], mask bool [frames] (True: a frame of the clip),
    letters int32 [letters_room], -1 after the last. Raises CorruptRecord for a clip or a transcript
    that is too long, or that has other letters.
    """
    try:
        spelled = charset.encode(charset.clean(clip.transcript))
    except ValueError as error:
        raise CorruptRecord(f"{clip.where}: {error}") from error
    if not 0 < len(spelled) <= letters_room or len(clip) > frames:
        raise CorruptRecord(
            f"{clip.where}, {clip.id}, has {len(clip)} frames and {len(spelled)} letters: there is"
            f" room for {frames} (--config.clip_frames) and {letters_room}"
            " (--config.lipreader.letters)"
        )
    seen = jittered(len(clip), frames, jitter, rng)
    faces = clip.decode(0, len(clip), mirror=mirror)
    if out is None:
        out = np.empty((frames, crop.height, crop.width, 3), np.uint8)
    crop(faces[seen], rng.uniform(-shift, shift, 2), out[: len(seen)])
    out[len(seen) :] = 0
    written = np.full(letters_room, -1, np.int32)
    written[: len(spelled)] = spelled
    return {"frames": out, "mask": np.arange(frames) < len(seen), "letters": written}
