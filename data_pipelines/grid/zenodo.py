"""Downloads GRID from Zenodo record 3625687: resumed after an interruption, checked by MD5."""

import csv
import json
import pathlib
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence

import tqdm

from data_pipelines.common.download import download
from data_pipelines.common.errors import UserError

RECORD_URL = "https://zenodo.org/api/records/3625687"
FILE_URL = "https://zenodo.org/record/3625687/files/{name}?download=1"
_PINNED = pathlib.Path(__file__).parent / "checksums.tsv"
_SECONDS_PER_LINE = 10  # Of progress, where there is no terminal.


def fetch(speakers: Sequence[str], folder: pathlib.Path) -> pathlib.Path:
    """Downloads the zips of the speakers and the alignments, where they are missing.

    Args:
      speakers: Names such as s1.
      folder: Where the files are and go.

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
        download(url, folder / name, "md5", sums[name], progress=_progress(name))
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


def _progress(name: str) -> Callable[[int, int], None]:
    """Shows bytes, rate and time left; a bar on a terminal."""
    terminal = sys.stderr.isatty()
    bar = tqdm.tqdm(desc=name, unit="B", unit_scale=True, disable=not terminal)
    begun, first, shown = time.monotonic(), -1, 0.0

    def show(done: int, total: int) -> None:
        nonlocal first, shown
        bar.total = total
        bar.update(done - bar.n)
        first = done if first < 0 else first
        now = time.monotonic()
        if not terminal and (done == total or now - shown > _SECONDS_PER_LINE):
            shown = now
            rate = (done - first) / max(now - begun, 1e-9)
            left = f", {(total - done) / rate / 60:.1f} min left" if rate else ""
            print(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB{left}", flush=True)
        if done == total:
            bar.close()

    return show
