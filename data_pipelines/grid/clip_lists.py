"""Fixed lists of clips and their splits, so that figures of different people compare.

A list is a table of lists/, with the columns split and clip (an id such as s1_bbaf2n).
"""

import csv
import dataclasses
import pathlib
from collections.abc import Collection, Mapping

from data_pipelines.aligning.base_builder import CorpusContents
from data_pipelines.common.errors import UserError

_FOLDER = pathlib.Path(__file__).parent / "lists"


def names() -> list[str]:
    """Names the lists there are.

    Returns:
      The names, in order.
    """
    return sorted(path.stem for path in _FOLDER.glob("*.tsv"))


def read(name: str) -> dict[str, list[str]]:
    """Reads a list.

    Args:
      name: One of `names`.

    Returns:
      Ids of clips by split.
    """
    listed: dict[str, list[str]] = {}
    with (_FOLDER / f"{name}.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            listed.setdefault(row["split"], []).append(row["clip"])
    return listed


def speakers(listed: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Finds whose clips are on a list.

    Args:
      listed: Ids of clips by split.

    Returns:
      Names of speakers, by their number.
    """
    found = {clip.partition("_")[0] for clips in listed.values() for clip in clips}
    return tuple(sorted(found, key=lambda speaker: int(speaker[1:])))


def restrict(contents: CorpusContents, listed: Mapping[str, Collection[str]]) -> CorpusContents:
    """Leaves out the clips that are not on a list, and takes the splits from it.

    Prints how many of the list's clips are missing.

    Args:
      contents: The clips that were found.
      listed: Ids of clips by split.

    Returns:
      The clips of the list, split by their ids.

    Raises:
      UserError: None of the list's clips is there.
    """
    wanted = {clip for clips in listed.values() for clip in clips}
    clips = [clip for clip in contents.clips if clip.id in wanted]
    if not clips:
        raise UserError("None of the clips on the list is in the copy: give all of its speakers.")
    if missing := sorted(wanted - {clip.id for clip in clips}):
        print(
            f"{len(missing)} of the {len(wanted)} clips on the list are not in the copy, {missing[0]}"
            " among them: figures do not compare with those of the whole list."
        )
    unusable = {name: why for name, why in contents.unusable.items() if name in wanted}
    return dataclasses.replace(
        contents, clips=clips, unusable=unusable, splits=listed, splits_by="id"
    )
