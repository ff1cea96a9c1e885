"""Downloads GRID from Zenodo record 3625687: resumed after an interruption, checked by MD5."""

import csv
import json
import pathlib
import urllib.request
from collections.abc import Sequence

from data_pipelines.common.download import download
from data_pipelines.common.errors import UserError
from data_pipelines.common.progress import Progress

RECORD_URL = "https://zenodo.org/api/records/3625687"
FILE_URL = "https://zenodo.org/record/3625687/files/{name}?download=1"
_PINNED = pathlib.Path(__file__).parent / "checksums.tsv"


def fetch(speakers: Sequence[str], folder: pathlib.Path) -> pathlib.Path:
    """Downloads the zips of the speakers and the alignments, where they are missing.

    Args:
      speakers: Names such as s1.
      folder: Folder that the files are in, or are downloaded into.

    Returns:
      The folder.

    Raises:
      UserError: The network is unreachable, there is no checksum of a file, or it differs.
    """
    names = ["alignments.zip", *(f"{speaker}.zip" for speaker in speakers)]
    missing = [name for name in names if not (folder / name).exists()]
    sums = _checksums() if missing else {}
    if unknown := [name for name in missing if name not in sums]:
        raise UserError(
            f"Cannot reach {RECORD_URL} for the checksums of {', '.join(unknown)}: try again with "
            "a network, or download the zips elsewhere and give their folder as --manual_dir."
        )
    for name in missing:
        url = FILE_URL.format(name=name)
        with Progress(name, None, "B") as progress:
            download(url, folder / name, "md5", sums[name], progress.update_to)
    return folder


def _checksums() -> dict[str, str]:
    """Returns the MD5 of every file: from the record, else the pinned ones."""
    try:
        with urllib.request.urlopen(RECORD_URL, timeout=30) as answer:
            files = json.load(answer)["files"]
        return {file["key"]: file["checksum"].removeprefix("md5:") for file in files}
    except (OSError, ValueError, KeyError, TypeError):
        with _PINNED.open() as f:
            return {row[3]: row[2] for row in csv.reader(f, delimiter="\t")}
