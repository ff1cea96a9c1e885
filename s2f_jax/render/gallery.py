"""`gallery`: short moving pictures of what a model does with clips that it has not seen."""

import contextlib
import dataclasses
import re
import shlex
from collections.abc import Sequence

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
_SECONDS = 5.0  # Of a clip; longer ones are cut.
_SEARCHED = 64  # Clips whose videos are searched for expressions.
_TOGETHER = 8  # Videos that are drawn side by side.
_SHOWN = 2.0  # Seconds around an expression.
_MARKUP = re.compile(r"[<>&\[\]`*_\\]")
_EXPRESSIONS = "Blinks and raised brows"
_KINDS = ("blink", "raised brow")


@dataclasses.dataclass(frozen=True)
class Piece:
    """A moving picture of the gallery."""

    name: str  # Of its file.
    title: str
    caption: str
    frames: np.ndarray | None  # uint8 [T, H, W, 3]; None: there is nothing to see.
    fps: float
    sound: np.ndarray | None = None  # int16 [S], where one goes with all of it.


def gallery(
    checkpoint: str, output: str, data_dir: str | None = None, split: str = "test", seed: int = 0
) -> None:
    """Writes an animated WebP for each piece, an mp4 where it has one sound, and a README.md of them.

    seed: of the clips that are chosen, and of the spontaneous motion. Raises UserError for what a
    person can mend; the folder appears whole or not at all.
    """
    check_seeds(seed)
    target = output_folder.require_empty_output_dir(output)
    trained = restore_generator(checkpoint)
    data = trained.config.data
    clips = dataset.open_dataset(data, split, prepare.data_dir(data, data_dir))
    if not len(clips):
        raise UserError(f"--split={split} of {data.corpus} has no clips: give another one")
    animator = Animator.of(trained)
    mark = marks.provenance_record(animator.origin, seed, {}, composite=True)
    chosen = [_short(clip) for clip in sample_speakers(clips, COLUMNS, seed)]
    pieces = [
        _one_sound(animator, chosen, seed),
        _one_face(animator, chosen, seed),
        _real_beside_generated(animator, chosen, seed),
        _expressions(animator, clips, seed),
    ]
    with output_folder.atomic_directory(target) as part:
        for piece in pieces:
            _write(piece, part, mark, animator.rate)
        given = {"checkpoint": checkpoint, "output": output, "data_dir": data_dir}
        given |= {"split": split, "seed": seed}
        command = shlex.join(
            f"--{name}={value}" for name, value in given.items() if value is not None
        )
        files.write_atomically(part / "README.md", _page(pieces, mark, command).encode())
    for piece in pieces:
        place = piece.caption if piece.frames is None else f"{target / piece.name}.webp"
        print(f"{piece.title}: {place}")


def _short(clip: dataset.DatasetClip) -> dataset.DatasetClip:
    frames = min(len(clip), round(_SECONDS * clip.fps))
    audio = clip.audio[: frames * clip.stride]
    return dataclasses.replace(clip, jpegs=clip.jpegs[:frames], audio=audio)


def _stills(clips: Sequence[dataset.DatasetClip]) -> np.ndarray:
    return np.concatenate([clip.decode(0, 1) for clip in clips])


def _one_sound(animator: Animator, chosen: Sequence[dataset.DatasetClip], seed: int) -> Piece:
    speaking, *faces = chosen
    faces = faces or [speaking]
    stills = _stills(faces)
    videos = animator.generate_clips(stills, [speaking.audio] * len(faces), seed)
    return Piece(
        "one_sound",
        "One sound on several faces",
        f"The sound of {_said(speaking)}: on the left its real video, beside it"
        f" {_whose(faces)} under that sound.",
        moving.tile_videos([[speaking.frames, *videos]]),
        speaking.fps,
        speaking.audio,
    )


def _one_face(animator: Animator, chosen: Sequence[dataset.DatasetClip], seed: int) -> Piece:
    face, *speaking = chosen
    speaking = speaking or [face]
    stills = _stills([face] * len(speaking))
    videos = animator.generate_clips(stills, [clip.audio for clip in speaking], seed)
    return Piece(
        "one_face",
        "One face under several sounds",
        f"The still of {face.speaker or face.id} under the sounds of"
        f" {'; '.join(map(_said, speaking))}. Above each the real video of its sound.",
        moving.tile_videos([[clip.frames for clip in speaking], videos]),
        face.fps,
    )


def _real_beside_generated(
    animator: Animator, chosen: Sequence[dataset.DatasetClip], seed: int
) -> Piece:
    stills = _stills(chosen)
    videos = animator.generate_clips(stills, [clip.audio for clip in chosen], seed)
    return Piece(
        "real_and_generated",
        "Real and generated",
        f"{'; '.join(map(_said, chosen))}: the real videos, and under each what the model makes of"
        " its first frame and its sound.",
        moving.tile_videos([[clip.frames for clip in chosen], videos]),
        chosen[0].fps,
    )


def _expressions(animator: Animator, clips: Sequence[dataset.DatasetClip], seed: int) -> Piece:
    """The deepest ones of the videos of at most _SEARCHED clips, each with a seed of its own."""
    with contextlib.closing(FaceTracker()) as faces:
        if not faces.problem:
            return _found(animator, clips, seed, faces)
        told = f"Not looked for. {faces.problem}"
        return Piece("expressions", _EXPRESSIONS, told, None, animator.fps)


def _found(
    animator: Animator, clips: Sequence[dataset.DatasetClip], seed: int, faces: FaceTracker
) -> Piece:
    order = np.random.default_rng(seed).permutation(len(clips))[:_SEARCHED]
    print(f"looking for expressions in {len(order)} videos", flush=True)
    found, count, seconds = ExpressionCollector(_KINDS, rows=COLUMNS), 0, 0.0
    for first in range(0, len(order), _TOGETHER):
        some = [_short(clips[int(i)]) for i in order[first : first + _TOGETHER]]
        stills = _stills(some)
        own = [(seed + first + i) % SEEDS for i in range(len(some))]
        videos = animator.generate_clips(stills, [clip.audio for clip in some], own)
        tracks = faces(videos, [False] * len(videos))
        for clip, video, track in zip(some, videos, tracks, strict=True):
            if isinstance(track, str):
                continue  # The reason why it has none.
            curves = score_blinks(track.landmarks, clip.fps).curves
            found.add(clip.id, clip.speaker, video, curves)
            count, seconds = count + len(curves["blinks"]), seconds + len(video) / clip.fps
    told = (
        f"The videos of {len(order)} clips, a seed each, have {count} blinks in {seconds:.0f} s."
        f" The deepest {found.caption()}."
    )
    shown = round(_SHOWN * animator.fps)
    rows = [
        [each.video[centered_frames(each.frames[1], shown, len(each.video))] for each in of_kind]
        for of_kind in found.by_kind.values()
        if of_kind
    ]
    return Piece(
        "expressions", _EXPRESSIONS, told, moving.tile_videos(rows) if rows else None, animator.fps
    )


def _as_text(found: re.Match) -> str:
    """What would be HTML or Markdown, as people should see it."""
    return f"&#{ord(found[0])};"


def _said(clip: dataset.DatasetClip) -> str:
    whose = clip.speaker or clip.id
    return f"{whose} (“{clip.transcript}”)" if clip.transcript else whose


def _whose(clips: Sequence[dataset.DatasetClip]) -> str:
    return ", ".join(clip.speaker or clip.id for clip in clips)


def _write(piece: Piece, folder: epath.Path, mark: ProvenanceRecord, rate: int) -> None:
    """rate: of the sound."""
    if piece.frames is None:
        return
    path = folder / f"{piece.name}.webp"
    moving.write_webp(path, piece.frames, piece.fps, mark.xmp)
    mark.write_sidecar(path, len(piece.frames), piece.fps)
    if piece.sound is None:
        return
    path = folder / f"{piece.name}.mp4"
    writer.write_video(path, piece.frames, piece.fps, piece.sound, rate, mark.metadata)
    mark.write_sidecar(path, len(piece.frames), piece.fps)


def _page(pieces: Sequence[Piece], mark: ProvenanceRecord, command: str) -> str:
    """Markdown."""
    run, step = mark.model["run"], mark.model["step"]
    parts = [
        "# Gallery\n",
        f"Synthetic, but for what is called real: step {step} of the run `{run}` made it, by\n"
        f"`python -m s2f_jax.main gallery {command}`.\n",
    ]
    for piece in pieces:
        parts.append(f"## {piece.title}\n")
        if piece.frames is not None:
            parts.append(f"![{piece.title}]({piece.name}.webp)\n")
        heard = f" [With its sound]({piece.name}.mp4)." if piece.sound is not None else ""
        parts.append(f"{_MARKUP.sub(_as_text, piece.caption)}{heard}\n")
    return "\n".join(parts)
