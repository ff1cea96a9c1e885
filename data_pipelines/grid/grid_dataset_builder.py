"""The GRID audiovisual sentence corpus as aligned faces, from Zenodo or from a copy."""

import os
import pathlib
from collections.abc import Sequence

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.aligning import base_builder
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.grid import sentences, sources, zenodo


class Builder(base_builder.RecordedBuilder):
    """33 speakers, 1000 sentences of 3 s each."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def find_clips(self, download_dir: epath.Path) -> base_builder.CorpusContents:
        """The clips of the speakers asked for."""
        speakers = self.config.speakers or sources.SPEAKERS
        if self.config.manual_dir:
            return sources.find(pathlib.Path(self.config.manual_dir), speakers)
        folder = pathlib.Path(download_dir)
        if "://" in os.fspath(download_dir):  # Raw video stays on this machine.
            folder = pathlib.Path.home() / ".cache" / "s2f_jax" / "grid"
        return sources.find(zenodo.fetch(speakers, folder), speakers)

    def transcript_of(self, clip_id: str) -> str | None:
        """What the clip's name says."""
        try:
            return " ".join(sentences.words(clip_id.partition("_")[2]))
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
      UserError: an unknown speaker, or the folder holds the corpus with other speakers already.
    """
    for speaker in speakers:
        if speaker not in sources.SPEAKERS:
            raise UserError(
                f"GRID has no video of a speaker {speaker!r}; --config.data.speakers takes s1 to "
                "s34 without s21."
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
