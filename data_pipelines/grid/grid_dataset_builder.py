"""The GRID audiovisual sentence corpus as aligned faces, from Zenodo or from a copy."""

import os
import pathlib

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.aligning import base_builder
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.common.files import is_remote
from data_pipelines.grid import sentences, sources, zenodo


class GridConfig(base_builder.RecordedConfig):
    """Format of the examples and the speakers, s1 to s34 without s21."""

    def __post_init__(self):
        super().__post_init__()
        for speaker in self.speakers:
            if speaker not in sources.SPEAKERS:
                raise UserError(
                    f"--config.data.speakers: GRID has no video of a speaker {speaker!r}; give "
                    "names of s1 to s34 without s21."
                )


class Builder(base_builder.RecordedBuilder):
    """33 speakers, 1000 sentences of 3 s each."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    CONFIG = GridConfig

    def find_clips(self, download_dir: epath.Path) -> base_builder.CorpusContents:
        """Finds the raw clips, in the config's manual_dir or downloaded from Zenodo.

        Args:
          download_dir: Folder for the zips; for a remote one, the user's cache.

        Returns:
          The clips of the config's speakers, all by default.
        """
        speakers = self.config.speakers or sources.SPEAKERS
        if self.config.manual_dir:
            return sources.find_clips(pathlib.Path(self.config.manual_dir), speakers)
        folder = pathlib.Path(download_dir)
        if is_remote(os.fspath(download_dir)):  # Raw video stays on this machine.
            folder = pathlib.Path.home() / ".cache" / "s2f_jax" / "grid"
        return sources.find_clips(zenodo.fetch(speakers, folder), speakers)

    def transcript_of(self, clip_id: str) -> str | None:
        """Reads the transcript from a clip's name.

        Args:
          clip_id: Speaker and sentence, s1_bbaf2n.

        Returns:
          The six words; None for a name that codes none.
        """
        try:
            return " ".join(sentences.words(clip_id.partition("_")[2]))
        except BadClip:
            return None
