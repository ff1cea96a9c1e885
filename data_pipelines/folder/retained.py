"""Finds the cuts of many videos, each saved as a file, so that an interrupted run continues."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence

from etils import epath

from data_pipelines.aligning import align_clip
from data_pipelines.common import files
from data_pipelines.common.processes import WorkerPool
from data_pipelines.common.progress import Progress
from data_pipelines.folder import pause_detection
from data_pipelines.folder.pause_detection import CutLimits, VideoCuts
from data_pipelines.folder.sources import Cut, SourceVideo


def find_cuts(
    videos: Sequence[SourceVideo], limits: CutLimits, folder: epath.Path, workers: int = 0
) -> dict[str, VideoCuts]:
    """Finds the cuts of videos, but for those whose cuts were saved before.

    Args:
      videos: Videos to be cut.
      limits: Limits of the clips.
      folder: Folder in which cuts are saved.
      workers: Processes; 0 is one per core.

    Returns:
      The cuts by the name of the video.
    """
    paths = {video.name: folder / f"{video.name}.{_key(video, limits)}.json" for video in videos}
    result = {name: _load(path) for name, path in paths.items() if path.exists()}
    missing = [video for video in videos if video.name not in result]
    if result:
        print(f"{len(result)} of {len(videos)} videos were analysed before.", flush=True)
    unusable = sum(bool(cuts.unusable) for cuts in result.values())
    find = functools.partial(pause_detection.find_cuts, limits=limits)
    with (
        Progress("analysed", len(missing), "video") as progress,
        WorkerPool(workers, len(missing)) as pool,
    ):
        for index, cuts in pool.map_unordered(find, [video.path for video in missing]):
            name = missing[index].name
            if isinstance(cuts, Exception):  # Unexpected, so not saved; it may not happen again.
                cuts = VideoCuts(unusable=f"{type(cuts).__name__}: {cuts}")
            else:
                content = dataclasses.asdict(cuts)
                content["cuts"] = [(cut.start, cut.end) for cut in cuts.cuts]
                files.write_atomically(paths[name], json.dumps(content).encode())
            result[name] = cuts
            unusable += bool(cuts.unusable)
            progress.note = f"{unusable} unusable"
            progress.update()
    return result


def _load(path: epath.Path) -> VideoCuts:
    content = json.loads(path.read_text())
    content["cuts"] = tuple(Cut(start, end) for start, end in content["cuts"])
    return VideoCuts(**content)


def _key(video: SourceVideo, limits: CutLimits) -> str:
    # Of all that a video's cuts depend on. "Lengths" is what files of earlier releases are named by.
    inputs = str(limits).replace(CutLimits.__name__, "Lengths")
    text = f"{pause_detection.VERSION} {align_clip.file_stamp(video.path)} {inputs}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
