"""CREMA-D, actors who say twelve sentences in six moods, as aligned faces, from a clone."""

import os
import pathlib
from collections.abc import Sequence

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.aligning import base_builder
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.crema_d import sentences, sources


class Builder(base_builder.RecordedBuilder):
    """91 actors, 7442 clips of some seconds."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def find_clips(self, download_dir: epath.Path) -> base_builder.CorpusContents:
        """The clips in manual_dir."""
        if not self.config.manual_dir:
            raise UserError(
                f"CREMA-D is not downloaded here: give --manual_dir, {sources.LAYOUT} fetched by "
                "git-LFS."
            )
        actors = self.config.speakers or sources.ACTORS
        return sources.find(pathlib.Path(self.config.manual_dir), actors)

    def transcript_of(self, clip_id: str) -> str | None:
        """What the clip's name says."""
        try:
            return sentences.parse(clip_id)[1]
        except BadClip:
            return None


def builder(
    height: int,
    width: int,
    audio_rate: int,
    fps: int,
    data_dir: str | os.PathLike,
    manual_dir: str | os.PathLike | None = None,
    workers: int = 0,
    speakers: Sequence[str] = (),
    max_bad_share: float = 0.05,
    max_seconds: float = 30.0,
) -> Builder:
    """The builder for one form of the data.

    Raises:
      UserError: an unknown actor, or the folder holds the corpus with other actors already.
    """
    for actor in speakers:
        if actor not in sources.ACTORS:
            raise UserError(
                f"CREMA-D has no actor {actor!r}; --config.data.speakers takes 1001 to 1091."
            )
    form = base_builder.RecordedConfig(
        height=height,
        width=width,
        audio_rate=audio_rate,
        fps=fps,
        manual_dir=os.fspath(manual_dir or ""),
        workers=workers,
        speakers=tuple(speakers),
        max_bad_share=max_bad_share,
        max_seconds=max_seconds,
    )
    return Builder.make(data_dir, form)
