"""The GRID audiovisual sentence corpus as aligned faces, from Zenodo or from a copy."""

import dataclasses
import os
import pathlib

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.aligning import base_builder
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.common.files import is_remote
from data_pipelines.grid import clip_lists, sentences, sources, zenodo


@dataclasses.dataclass(kw_only=True)
class GridConfig(base_builder.RecordedConfig):
    """Format of the examples, the speakers, s1 to s34 without s21, and the split.

    Attributes:
      clip_list: A list of data_pipelines/grid/lists: which clips there are, and in which split.
        Empty: all clips of the speakers, split by speaker.
    """

    clip_list: str = ""

    def __post_init__(self):
        super().__post_init__()
        for speaker in self.speakers:
            if speaker not in sources.SPEAKERS:
                raise UserError(
                    f"--config.data.speakers: GRID has no video of a speaker {speaker!r}; give "
                    "names of s1 to s34 without s21."
                )
        if self.clip_list not in ("", *clip_lists.names()):
            raise UserError(
                f"--config.data.options.clip_list={self.clip_list}: must be one of"
                f" {', '.join(clip_lists.names())}, or empty"
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
          The clips of the config's speakers, all by default, that are on its list.
        """
        assert isinstance(self.config, GridConfig)
        listed = clip_lists.read(self.config.clip_list) if self.config.clip_list else {}
        speakers = self.config.speakers or clip_lists.speakers(listed) or sources.SPEAKERS
        folder = pathlib.Path(self.config.manual_dir or download_dir)
        if not self.config.manual_dir:
            if is_remote(os.fspath(download_dir)):  # Raw video stays on this machine.
                folder = pathlib.Path.home() / ".cache" / "s2f_jax" / "grid"
            folder = zenodo.fetch(speakers, folder)
        contents = sources.find_clips(folder, speakers)
        return clip_lists.restrict(contents, listed) if listed else contents

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
