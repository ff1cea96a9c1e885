"""TCD-TIMIT as aligned faces, from a copy: its licence is given on request."""

import dataclasses
import pathlib
from collections.abc import Collection

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import splits
from data_pipelines.aligning import base_builder
from data_pipelines.common.errors import UserError
from data_pipelines.tcd_timit import labels, sources


@dataclasses.dataclass(kw_only=True)
class TcdTimitConfig(base_builder.RecordedConfig):
    """Format of the examples and the split; the defaults are the paper's split.

    Attributes:
      with_left_out: Whether 27M, 35M and 53M, left out by the recommended split, train.
      lipspeakers: Whether the three professional lipspeakers train.
      paper_validation: Whether seven of the recommended test speakers are val; else all 17 are
        test, and the three left out are val.
    """

    with_left_out: bool = False
    lipspeakers: bool = False
    paper_validation: bool = True

    def __post_init__(self):
        super().__post_init__()
        if self.with_left_out and not self.paper_validation:
            raise UserError(
                "paper_validation=False validates on 27M, 35M and 53M, and with_left_out=True "
                "trains on them: give only one of these two options."
            )
        for speaker in self.speakers:
            if labels.speaker_in_path([speaker]) != speaker:
                raise UserError(
                    f"--config.data.speakers: TCD-TIMIT has no speaker {speaker!r}; give names "
                    "such as 01M, 33F and Lipspkr1."
                )
            if not any(speaker in part for part in self.split([speaker]).values()):
                option = "lipspeakers" if speaker.startswith("Lipspkr") else "with_left_out"
                raise UserError(
                    f"--config.data.speakers: {speaker} is in no split; "
                    f"--config.data.options.{option}=True trains on it."
                )

    def split(self, speakers: Collection[str]) -> dict[str, list[str]]:
        """Divides speakers among the splits.

        Args:
          speakers: Speakers that exist.

        Returns:
          Speakers by split, from splits.tcd_timit.
        """
        return splits.tcd_timit(speakers, **{name: getattr(self, name) for name in self.options()})


class Builder(base_builder.RecordedBuilder):
    """59 volunteers and 3 lipspeakers, some 100 sentences of any length each."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    CONFIG = TcdTimitConfig

    def find_clips(self, download_dir: epath.Path) -> base_builder.CorpusContents:
        """Finds the raw clips in the config's manual_dir.

        Args:
          download_dir: Unused; the corpus cannot be downloaded.

        Returns:
          The clips of the config's speakers, all by default.

        Raises:
          UserError: There is no manual_dir.
        """
        assert isinstance(self.config, TcdTimitConfig)
        if not self.config.manual_dir:
            raise UserError(
                "TCD-TIMIT cannot be downloaded without its licence: ask for it at "
                "sigmedia.tcd.ie/TCDTIMIT and give your copy as --manual_dir, a folder that holds "
                f"{sources.LAYOUT}."
            )
        folder = pathlib.Path(self.config.manual_dir)
        return sources.find_clips(folder, self.config.speakers, self.config.split)
