"""`gallery`: short animations of what a model generates for clips that it has not seen."""

import contextlib
import dataclasses
import functools
import re
import shlex
from collections.abc import Callable, Sequence

import numpy as np
from etils import epath

from data_pipelines import prepare
from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset
from data_pipelines.media import writer
from s2f_jax.inference.animator import Animator
from s2f_jax.metrics.faces_in_videos import FaceTracker
from s2f_jax.metrics.landmarks import score_blinks
from s2f_jax.provenance import marks
from s2f_jax.provenance.marks import ProvenanceRecord
from s2f_jax.reports import moving
from s2f_jax.reports.expressions import ExpressionCollector, centered_frames
from s2f_jax.reports.figures import sample_speakers
from s2f_jax.rngs import SEEDS, check_seeds
from s2f_jax.runs import output_folder
from s2f_jax.runs.restore import restore_generator

COLUMNS = 5
_COMPARED_CLIPS = 3
_MAX_SECONDS = 5.0  # Longer clips are cut.
_SEARCHED_CLIPS = 64  # For which videos are generated and searched for expressions.
_BATCH_SIZE = 8
_EXPRESSION_SECONDS = 2.0  # Shown around an expression.
_MARKUP = re.compile(r"[<>&\[\]`*_\\]")
_EXPRESSION_KINDS = ("blink", "raised brow")

_Clips = Sequence[dataset.DatasetClip]
_Videos = list[np.ndarray]  # Each uint8 [T, H, W, 3].
_Animate = Callable[[_Clips, _Clips], _Videos]  # Faces and speech.


@dataclasses.dataclass(frozen=True)
class GalleryItem:
    """An animation of the gallery.

    Attributes:
      name: Name of the item's files, without a suffix.
      title: Heading of the item.
      caption: What it shows, or why there is nothing to show.
      frames: uint8 [T, H, W, 3]; None where there is nothing to show.
      fps: Frame rate in frames/s.
      audio: int16 [S], where one clip's audio belongs to all of it.
    """

    name: str
    title: str
    caption: str
    frames: np.ndarray | None
    fps: float
    audio: np.ndarray | None = None


def gallery(
    checkpoint: str, output: str, data_dir: str | None = None, split: str = "test", seed: int = 0
) -> None:
    """Writes an animated WebP per item, an mp4 where it has audio, and a README.md that shows them.

    Args:
      checkpoint: A workdir or a checkpoint step's folder.
      output: The folder to write, new or empty; it appears complete or not at all.
      data_dir: Folder of the shards of the run's corpus.
      split: Split whose clips are shown.
      seed: Seed of the choice of clips, and of the spontaneous motion.

    Raises:
      UserError: A mistake of the user.
    """
    check_seeds(seed)
    target = output_folder.require_empty_output_dir(output)
    trained = restore_generator(checkpoint)
    data = trained.config.data
    clips = dataset.open_dataset(data, split, prepare.data_dir(data, data_dir))
    if not len(clips):
        raise UserError(f"--split={split} of {data.corpus} has no clips: give another one")
    animator = Animator.from_checkpoint(trained)
    mark = marks.provenance_record(animator.origin, seed, {}, composite=True)
    chosen = [_cut(clip) for clip in sample_speakers(clips, COLUMNS, seed)]
    animate = functools.partial(_animate, animator, seed)
    makers = _one_sound, _one_face, _real_and_generated, _comparison
    items = [make(chosen, animate) for make in makers]
    items.append(_expressions(animator, clips, seed))
    with output_folder.atomic_directory(target) as folder:
        for item in items:
            _write_item(item, folder, mark, animator.rate)
        flags = {"checkpoint": checkpoint, "output": output, "data_dir": data_dir}
        flags |= {"split": split, "seed": seed}
        command = shlex.join(f"--{k}={value}" for k, value in flags.items() if value is not None)
        files.write_atomically(folder / "README.md", _page(items, mark, command).encode())
    for item in items:
        result = item.caption if item.frames is None else f"{target / item.name}.webp"
        print(f"{item.title}: {result}")


def _cut(clip: dataset.DatasetClip) -> dataset.DatasetClip:
    frames = min(len(clip), round(_MAX_SECONDS * clip.fps))
    audio = clip.audio[: frames * clip.stride]
    return dataclasses.replace(clip, jpegs=clip.jpegs[:frames], audio=audio)


def _animate(
    animator: Animator, seed: int | Sequence[int], faces: _Clips, speech: _Clips
) -> _Videos:
    # The first frame of each face under the audio of the clip at the same position.
    stills = np.concatenate([clip.decode(0, 1) for clip in faces])
    return animator.generate_clips(stills, [clip.audio for clip in speech], seed)


def _one_sound(chosen: _Clips, animate: _Animate) -> GalleryItem:
    speaking, *faces = chosen
    faces = faces or [speaking]
    videos = animate(faces, [speaking] * len(faces))
    names = ", ".join(map(_speaker, faces))
    return GalleryItem(
        "one_sound",
        "One sound on several faces",
        f"The sound of {_quote(speaking)}: on the left its real video, beside it {names} under that"
        " sound.",
        moving.tile_videos([[speaking.frames, *videos]]),
        speaking.fps,
        speaking.audio,
    )


def _one_face(chosen: _Clips, animate: _Animate) -> GalleryItem:
    face, *speaking = chosen
    speaking = speaking or [face]
    videos = animate([face] * len(speaking), speaking)
    return GalleryItem(
        "one_face",
        "One face under several sounds",
        f"The still of {_speaker(face)} under the sounds of {'; '.join(map(_quote, speaking))}."
        " Above each the real video of its sound.",
        moving.tile_videos([[clip.frames for clip in speaking], videos]),
        face.fps,
    )


def _real_and_generated(chosen: _Clips, animate: _Animate) -> GalleryItem:
    videos = animate(chosen, chosen)
    return GalleryItem(
        "real_and_generated",
        "Real and generated",
        f"{'; '.join(map(_quote, chosen))}: the real videos, and below each what the model generates"
        " from its first frame and its sound.",
        moving.tile_videos([[clip.frames for clip in chosen], videos]),
        chosen[0].fps,
    )


def _comparison(chosen: _Clips, animate: _Animate) -> GalleryItem:
    # What an evaluation compares, the model with its baselines.
    shown = chosen[:_COMPARED_CLIPS]
    others = [*shown[1:], shown[0]]
    rows = [[clip.frames for clip in shown], animate(shown, shown)]
    rows += [animate(shown, others), [clip.frames[:1] for clip in shown]]
    return GalleryItem(
        "comparison",
        "Real, generated, under another sound, frozen",
        f"{'; '.join(map(_quote, shown))}: the real videos; what the model generates from the first"
        " frame and its sound; the same under the sound of the next one on the right, the last under that"
        " of the first; the first frame.",
        moving.tile_videos(rows),
        shown[0].fps,
    )


def _expressions(animator: Animator, clips: _Clips, seed: int) -> GalleryItem:
    # The deepest ones of at most _SEARCHED_CLIPS videos, each with a seed of its own.
    with contextlib.closing(FaceTracker()) as faces:
        if faces.problem:
            caption, frames = f"Not searched. {faces.problem}", None
        else:
            caption, frames = _search_expressions(animator, clips, seed, faces)
    return GalleryItem("expressions", "Blinks and raised brows", caption, frames, animator.fps)


def _search_expressions(
    animator: Animator, clips: _Clips, seed: int, faces: FaceTracker
) -> tuple[str, np.ndarray | None]:
    # -> caption, frames.
    order = np.random.default_rng(seed).permutation(len(clips))[:_SEARCHED_CLIPS]
    print(f"searching {len(order)} videos for expressions", flush=True)
    expressions, blinks, seconds = ExpressionCollector(_EXPRESSION_KINDS, rows=COLUMNS), 0, 0.0
    for first in range(0, len(order), _BATCH_SIZE):
        batch = [_cut(clips[int(i)]) for i in order[first : first + _BATCH_SIZE]]
        seeds = [(seed + first + i) % SEEDS for i in range(len(batch))]
        videos = _animate(animator, seeds, batch, batch)
        tracks = faces(videos, [False] * len(videos))
        for clip, video, track in zip(batch, videos, tracks, strict=True):
            if isinstance(track, str):
                continue  # The reason why there is none.
            curves = score_blinks(track.landmarks, clip.fps).curves
            expressions.add(clip.id, clip.speaker, video, curves)
            blinks, seconds = blinks + len(curves["blinks"]), seconds + len(video) / clip.fps
    caption = (
        f"The videos of {len(order)} clips, a seed each, have {blinks} blinks in {seconds:.0f} s."
        f" The deepest {expressions.caption()}."
    )
    length = round(_EXPRESSION_SECONDS * animator.fps)
    rows = [
        [each.video[centered_frames(each.frames[1], length, len(each.video))] for each in kind]
        for kind in expressions.by_kind.values()
        if kind
    ]
    return caption, moving.tile_videos(rows) if rows else None


def _speaker(clip: dataset.DatasetClip) -> str:
    return clip.speaker or clip.id


def _quote(clip: dataset.DatasetClip) -> str:
    return f"{_speaker(clip)} (“{clip.transcript}”)" if clip.transcript else _speaker(clip)


def _write_item(item: GalleryItem, folder: epath.Path, mark: ProvenanceRecord, rate: int) -> None:
    if item.frames is None:
        return
    path = folder / f"{item.name}.webp"
    moving.write_webp(path, item.frames, item.fps, mark.xmp)
    mark.write_sidecar(path, len(item.frames), item.fps)
    if item.audio is None:
        return
    path = folder / f"{item.name}.mp4"
    writer.write_video(path, item.frames, item.fps, item.audio, rate, mark.metadata)
    mark.write_sidecar(path, len(item.frames), item.fps)


def _page(items: Sequence[GalleryItem], mark: ProvenanceRecord, command: str) -> str:
    run, step = mark.model["run"], mark.model["step"]
    parts = [
        "# Gallery\n",
        f"Synthetic, except for what is called real: generated by step {step} of the run `{run}`,"
        f" by\n`python -m s2f_jax.main gallery {command}`.\n",
    ]
    for item in items:
        parts.append(f"## {item.title}\n")
        if item.frames is not None:
            parts.append(f"![{item.title}]({item.name}.webp)\n")
        link = f" [With its sound]({item.name}.mp4)." if item.audio is not None else ""
        # Transcripts and names must not become HTML or Markdown.
        caption = _MARKUP.sub(lambda match: f"&#{ord(match[0])};", item.caption)
        parts.append(f"{caption}{link}\n")
    return "\n".join(parts)
