"""The cuts of many videos, each kept as a file, so that an interrupted run goes on."""

import dataclasses
import functools
import hashlib
import json
import sys
import time
from collections.abc import Sequence

import tqdm
from etils import epath

from data_pipelines import clips, media, processes
from data_pipelines.folder import listening
from data_pipelines.folder.listening import Cuts, Lengths
from data_pipelines.folder.sources import Cut, Video

_SECONDS_PER_LINE = 10  # Of progress, where there is no terminal.


def find_all(
    videos: Sequence[Video], lengths: Lengths, folder: epath.Path, workers: int = 0
) -> dict[str, Cuts]:
    """{name: cuts} of the videos, kept in `folder`; `workers` processes, 0 for one per core."""
    kept = {video.name: folder / f"{video.name}.{_key(video, lengths)}.json" for video in videos}
    result = {video.name: _load(kept[video.name]) for video in videos if kept[video.name].exists()}
    waiting = {video.path: video.name for video in videos if video.name not in result}
    show = _progress(len(waiting))
    find = functools.partial(listening.find_cuts, lengths=lengths)
    for path, found in processes.each(find, list(waiting), workers):
        found = found or Cuts(unusable="the process that decoded it died")
        name = waiting[path]
        result[name] = found
        text = dataclasses.asdict(found)
        text["cuts"] = [(cut.start, cut.end) for cut in found.cuts]
        media.write_atomically(kept[name], json.dumps(text).encode())
        show()
    return result


def _load(path: epath.Path) -> Cuts:
    found = json.loads(path.read_text())
    found["cuts"] = tuple(Cut(start, end) for start, end in found["cuts"])
    return Cuts(**found)


def _key(video: Video, lengths: Lengths) -> str:
    """Of all that a video's cuts depend on."""
    text = f"{listening.VERSION} {clips.file_stamp(video.path)} {lengths}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _progress(total: int):
    """-> what to call after each video: shows rate and time left; a bar on a terminal."""
    terminal = sys.stderr.isatty()
    bar = tqdm.tqdm(total=total, desc="listening", unit="video", disable=not (terminal and total))
    start = shown = time.monotonic()
    done = 0

    def show() -> None:
        nonlocal done, shown
        done += 1
        bar.update()
        now = time.monotonic()
        if not terminal and (done == total or now - shown > _SECONDS_PER_LINE):
            rate, shown = done / (now - start), now
            left = (total - done) / rate / 60
            print(
                f"listened to {done} of {total} videos, {rate:.2f} videos/s, {left:.1f} min left",
                flush=True,
            )
        if done == total:
            bar.close()

    return show
