"""Training examples of a lip reader that join two sentences: more word orders than a small corpus has."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines.common.errors import CorruptRecord
from data_pipelines.loading.dataset import ClipDataset, DatasetClip
from data_pipelines.loading.loader import MakeExample


def splice(
    clip: DatasetClip, other: DatasetClip, rng: np.random.Generator, frames: int
) -> DatasetClip:
    """Joins the beginning of a sentence and the end of another one, at ends of words.

    Args:
      clip: The clip whose first words are said.
      other: Another one of the same speaker, from which as many words are left out.
      rng: The source of randomness, for the number of words.
      frames: Largest length; what follows the last word is cut off at it.

    Returns:
      A clip without sound and landmarks; the first one itself where the times of words are unknown, the
      frame rates differ, one has a single word, or the words together are longer.
    """
    most = min(len(clip.words), len(other.words)) - 1
    if most < 1 or clip.fps != other.fps:
        return clip
    count = int(rng.integers(1, most + 1))
    last, skipped = (round(c.words[count - 1][2] * c.fps) for c in (clip, other))
    later = (last - skipped) / clip.fps
    words = [(text, start + later, end + later) for text, start, end in other.words[count:]]
    if round(words[-1][2] * clip.fps) > frames:
        return clip
    said = [*clip.words[:count], *words]
    return dataclasses.replace(
        clip,
        id=f"{clip.id}+{other.id}",
        transcript=" ".join(text for text, _, _ in said),
        words=said,
        jpegs=[*clip.jpegs[:last], *other.jpegs[skipped:]][:frames],
        landmarks=clip.landmarks[:0],
        blink=clip.blink[:0],
        audio=clip.audio[:0],
    )


@dataclasses.dataclass(frozen=True)
class Splicing:
    """Makes examples, some of which are two clips of one speaker spliced.

    Attributes:
      make_example: Makes an example of a clip.
      clips: The data set.
      of_speaker: Indices of each speaker's clips.
      share: Share of the examples.
      frames: Length of an example.
    """

    make_example: MakeExample
    clips: Sequence[DatasetClip]
    of_speaker: Mapping[str, Sequence[int]]
    share: float
    frames: int

    def __call__(
        self, clip: DatasetClip, rng: np.random.Generator, mirror: bool, out: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Makes an example.

        Args:
          clip: The clip.
          rng: Random generator of the example.
          mirror: Whether left and right are swapped.
          out: The array to write the frames into; None: a new one.

        Returns:
          What `make_example` does.

        Raises:
          CorruptRecord: Frames of either clip are damaged.
        """
        if rng.uniform() < self.share:
            other = int(rng.choice(self.of_speaker[clip.speaker]))
            try:
                clip = splice(clip, self.clips[other], rng, self.frames)
            except CorruptRecord:
                pass  # It is named when its own turn comes.
        return self.make_example(clip, rng, mirror, out)


def splicing(make_example: MakeExample, clips: ClipDataset, share: float, frames: int) -> Splicing:
    """Reads whose clips there are, to splice them.

    Args:
      make_example: Makes an example of a clip.
      clips: The data set.
      share: Share of the examples that are spliced.
      frames: Length of an example.

    Returns:
      What makes the examples.
    """
    of_speaker: dict[str, list[int]] = {}
    for index, speaker in enumerate(clips.speaker_of_clips()):
        of_speaker.setdefault(speaker, []).append(index)
    return Splicing(make_example, clips, of_speaker, share, frames)
