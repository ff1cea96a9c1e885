"""TCD-TIMIT as aligned faces, from a copy: its licence is given on request."""

import dataclasses
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import splits
from data_pipelines.aligning import base_builder
from data_pipelines.common.errors import UserError
from data_pipelines.tcd_timit import labels, sources


@dataclasses.dataclass(kw_only=True)
class TcdTimitConfig(base_builder.RecordedConfig):
    """Which speakers train, as splits.tcd_timit explains; the defaults are the paper's split."""

    with_left_out: bool = False
    lipspeakers: bool = False
    paper_validation: bool = True

    def content(self) -> dict[str, Any]:
        return super().content() | self.choice()

    def choice(self) -> dict[str, bool]:
        """The fields of the split."""
        return {
            "with_left_out": self.with_left_out,
            "lipspeakers": self.lipspeakers,
            "paper_validation": self.paper_validation,
        }

    def split(self, speakers: Collection[str]) -> dict[str, list[str]]:
        """Speakers by split."""
        return splits.tcd_timit(speakers, **self.choice())


class Builder(base_builder.RecordedBuilder):
    """59 volunteers and 3 lipspeakers, some 100 sentences of any length each."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def __init__(self, *, config=None, **kwargs):
        super().__init__(config=config or TcdTimitConfig(), **kwargs)

    def find_clips(self, download_dir: epath.Path) -> base_builder.CorpusContents:
        """The clips in manual_dir."""
        assert isinstance(self.config, TcdTimitConfig)
        if not self.config.manual_dir:
            raise UserError(
                "TCD-TIMIT cannot be downloaded without its licence: ask for it at "
                "sigmedia.tcd.ie/TCDTIMIT and give your copy as --manual_dir, a folder that holds "
                f"{sources.LAYOUT}."
            )
        folder = pathlib.Path(self.config.manual_dir)
        return sources.find(folder, self.config.speakers, self.config.split)


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
    with_left_out: bool = False,
    lipspeakers: bool = False,
    paper_validation: bool = True,
) -> Builder:
    """The builder for one form of the data; the last three as in splits.tcd_timit.

    Raises:
      UserError: an unknown speaker or one in no split, a split without validation, or the folder
        holds the corpus with other content already.
    """
    form = TcdTimitConfig(
        height=height,
        width=width,
        audio_rate=audio_rate,
        fps=fps,
        manual_dir=os.fspath(manual_dir or ""),
        workers=workers,
        speakers=tuple(speakers),
        max_bad_share=max_bad_share,
        max_seconds=max_seconds,
        with_left_out=with_left_out,
        lipspeakers=lipspeakers,
        paper_validation=paper_validation,
    )
    if with_left_out and not paper_validation:
        raise UserError(
            "paper_validation=False validates on 27M, 35M and 53M, and with_left_out=True trains "
            "on them: give one of these two options only."
        )
    for speaker in speakers:
        if labels.speaker_of([speaker]) != speaker:
            raise UserError(
                f"TCD-TIMIT has no speaker {speaker!r}; --config.data.speakers takes names such as "
                "01M, 33F and Lipspkr1."
            )
        if not any(speaker in part for part in form.split([speaker]).values()):
            option = "lipspeakers" if speaker.startswith("Lipspkr") else "with_left_out"
            raise UserError(
                f"The speaker {speaker} is in no split; --config.data.options.{option}=True trains "
                "on it."
            )
    return Builder.make(data_dir, form)
