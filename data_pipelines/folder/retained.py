"""The cuts of many videos, each kept as a file, so that an interrupted run goes on."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence

from etils import epath

from data_pipelines.aligning import align_clip
from data_pipelines.common import files, processes
from data_pipelines.common.progress import Progress
from data_pipelines.folder import pause_detection
from data_pipelines.folder.pause_detection import Cuts, Lengths
from data_pipelines.folder.sources import Cut, SourceVideo


def find_all(
    videos: Sequence[SourceVideo], lengths: Lengths, folder: epath.Path, workers: int = 0
) -> dict[str, Cuts]:
    """{name: cuts} of the videos, kept in `folder`; `workers` processes, 0 for one per core."""
    kept = {video.name: folder / f"{video.name}.{_key(video, lengths)}.json" for video in videos}
    result = {video.name: _load(kept[video.name]) for video in videos if kept[video.name].exists()}
    waiting = {video.path: video.name for video in videos if video.name not in result}
    if result:
        print(f"{len(result)} of {len(videos)} videos were listened to before.", flush=True)
    unusable = [name for name, found in result.items() if found.unusable]
    progress = Progress("listened to", len(waiting), unusable, "video")
    find = functools.partial(pause_detection.find_cuts, lengths=lengths)
    for path, found in processes.process_map(find, list(waiting), workers):
        name = waiting[path]
        if isinstance(found, Exception):  # Not foreseen, so not kept; it may not happen again.
            found = Cuts(unusable=f"{type(found).__name__}: {found}")
        else:
            text = dataclasses.asdict(found)
            text["cuts"] = [(cut.start, cut.end) for cut in found.cuts]
            files.write_atomically(kept[name], json.dumps(text).encode())
        result[name] = found
        unusable += [name] if found.unusable else []
        progress.step()
    return result


def _load(path: epath.Path) -> Cuts:
    found = json.loads(path.read_text())
    found["cuts"] = tuple(Cut(start, end) for start, end in found["cuts"])
    return Cuts(**found)


def _key(video: SourceVideo, lengths: Lengths) -> str:
    """Of all that a video's cuts depend on."""
    text = f"{pause_detection.VERSION} {align_clip.file_stamp(video.path)} {lengths}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
