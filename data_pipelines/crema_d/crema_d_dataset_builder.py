"""CREMA-D, actors who say twelve sentences in six emotions, as aligned faces, from a clone."""

import pathlib

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.aligning import base_builder
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.crema_d import sentences, sources


class CremaDConfig(base_builder.RecordedConfig):
    """Format of the examples and the speakers, the actors 1001 to 1091."""

    def __post_init__(self):
        super().__post_init__()
        for actor in self.speakers:
            if actor not in sources.ACTORS:
                raise UserError(
                    f"--config.data.speakers: CREMA-D has no actor {actor!r}; give some of 1001 "
                    "to 1091."
                )


class Builder(base_builder.RecordedBuilder):
    """91 actors, 7442 clips of some seconds."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    CONFIG = CremaDConfig

    def find_clips(self, download_dir: epath.Path) -> base_builder.CorpusContents:
        """Finds the raw clips in the config's manual_dir.

        Args:
          download_dir: Unused; there is nothing to download.

        Returns:
          The clips of the config's speakers, all by default.

        Raises:
          UserError: There is no manual_dir.
        """
        if not self.config.manual_dir:
            raise UserError(
                f"CREMA-D is not downloaded: give --manual_dir, {sources.LAYOUT} fetched by "
                "git-LFS."
            )
        actors = self.config.speakers or sources.ACTORS
        return sources.find_clips(pathlib.Path(self.config.manual_dir), actors)

    def transcript_of(self, clip_id: str) -> str | None:
        """Reads the transcript from a clip's name.

        Args:
          clip_id: Such as 1001_DFA_ANG_XX.

        Returns:
          The sentence; None for a name that codes none.
        """
        try:
            return sentences.parse_name(clip_id)[1]
        except BadClip:
            return None
