"""The paper's figures for any run: one audio on several faces, and generated expressions."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from etils import epath

from data_pipelines.common import files
from data_pipelines.loading.dataset import DatasetClip
from data_pipelines.media import images
from s2f_jax.reports.content import Sample
from s2f_jax.reports.expressions import ExpressionCollector

# stills uint8 [B, H, W, 3], B audios int16 [S_i], seed -> B videos uint8 [T_i, H, W, 3].
Generate = Callable[[np.ndarray, list[np.ndarray], int], list[np.ndarray]]

_MIN_HEIGHT = 128  # Pixels of a frame; smaller ones are enlarged.
GAP = 6  # White pixels between groups.
_STRIP_FRAMES = 7  # Of an expression.
_MAX_READ = 2000  # Clips, in search of enough speakers.


def shared_audio_figure(
    clips: Sequence[DatasetClip],
    generate: Generate,
    *,
    faces: int = 4,
    columns: int = 9,
    batch_size: int = 8,
    seed: int = 0,
) -> tuple[np.ndarray, str]:
    """Draws one clip's audio on the stills of other speakers (paper, Fig. 4).

    A row for each face: its still, then every k-th generated frame; above them the real frames of
    the audio's own clip. The stills are those of `sample_speakers`; the only clip of a split gets
    its own.

    Args:
      clips: Clips to choose from.
      generate: The model.
      faces: Most rows.
      columns: Most generated frames of a row.
      batch_size: Batch size that the model was compiled for; the faces are padded to it.
      seed: Seed of the choice and of the model.

    Returns:
      uint8 [H, W, 3] and a caption.
    """
    speaking, *others = sample_speakers(clips, 1 + min(faces, batch_size), seed)
    others = others or [speaking]
    stills = np.stack([clip.frames[0] for clip in others])
    padded = np.concatenate([stills, np.repeat(stills[-1:], batch_size - len(stills), axis=0)])
    videos = generate(padded, [speaking.audio] * batch_size, seed)[: len(stills)]
    count = min(columns + 2, len(speaking))
    indices = np.linspace(0, len(speaking) - 1, count).round().astype(int)
    if count > columns:
        indices = indices[1:-1]  # Sentences begin and end with a closed mouth.
    animated = zip(stills, videos, strict=True)
    rows = [np.concatenate([still[None], video[indices]]) for still, video in animated]
    real = np.concatenate([speaking.frames[:1], speaking.frames[indices]])
    transcript = f" (“{speaking.transcript}”)" if speaking.transcript else ""
    caption = (
        f"the audio of {speaking.id}{transcript}: its real frames, and below them the faces of"
        f" {', '.join(clip.speaker or clip.id for clip in others)}, each after its still;"
        f" frames {', '.join(map(str, indices.tolist()))}"
    )
    image = _stack_strips([[real], rows])
    column_width = image.shape[1] // len(real)  # A gap separates the stills from the frames.
    gap = np.full((len(image), GAP, 3), 255, np.uint8)
    return np.hstack([image[:, :column_width], gap, image[:, column_width:]]), caption


def sample_speakers(clips: Sequence[DatasetClip], count: int, seed: int) -> list[DatasetClip]:
    """Chooses random clips of as many speakers as possible; a second one of a speaker comes last.

    Clips of unknown speakers count as of one speaker each.

    Args:
      clips: Clips to choose from.
      count: Most clips.
      seed: Seed of the choice.

    Returns:
      At most `count` clips.
    """
    by_speaker, more = {}, []
    for i in np.random.default_rng(seed).permutation(len(clips))[:_MAX_READ].tolist():
        clip = clips[i]
        if by_speaker.setdefault(clip.speaker or clip.id, clip) is not clip:
            more = [*more, clip][:count]
        if len(by_speaker) == count:
            break
    return [*by_speaker.values(), *more][:count]


def expression_figure(expressions: ExpressionCollector) -> np.ndarray | None:
    """Draws expressions, one a row, grouped by kind (paper, Fig. 5).

    Args:
      expressions: The collected ones.

    Returns:
      uint8 [H, W, 3]; None where there is none.
    """
    groups = [[e.strip(_STRIP_FRAMES) for e in group] for group in expressions.by_kind.values()]
    groups = [group for group in groups if group]
    return _stack_strips(groups) if groups else None


def write_figures(
    output: epath.PathLike,
    clips: Sequence[DatasetClip],
    generate: Generate,
    expressions: ExpressionCollector,
    *,
    batch_size: int = 8,
    seed: int = 0,
) -> list[Sample]:
    """Writes both figures as PNG files into `<output>/figures`.

    Args:
      output: Folder of the report.
      clips: Clips to choose from.
      generate: The model.
      expressions: The collected ones.
      batch_size: Batch size that the model was compiled for.
      seed: Seed of the choice and of the model.

    Returns:
      The figures, for `write_report`.
    """
    image, caption = shared_audio_figure(clips, generate, batch_size=batch_size, seed=seed)
    figures = [("same_sound", "One audio on several faces (as the paper's Fig. 4)", image, caption)]
    strips = expression_figure(expressions)
    if strips is not None:
        title = "Generated blinks and frowns (as the paper's Fig. 5)"
        figures.append(("expressions", title, strips, expressions.caption()))
    samples = []
    for name, title, image, caption in figures:
        path = epath.Path(output) / "figures" / f"{name}.png"
        files.write_atomically(path, images.encode_png(image))
        samples.append(Sample(title, caption, path))
    return samples


def _stack_strips(groups: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Stacks strips uint8 [n, H, W, 3] below each other, with a gap between groups."""
    rows = []
    for group in groups:
        strips = [np.hstack([upscale(frame) for frame in strip]) for strip in group]
        if rows:
            rows.append(np.full((GAP, rows[0].shape[1], 3), 255, np.uint8))
        rows += strips
    return np.vstack(rows)


def upscale(frame: np.ndarray) -> np.ndarray:
    """Enlarges a small frame by a whole factor, to 128 pixels of height or more.

    Args:
      frame: uint8 [H, W, 3].

    Returns:
      uint8 [k H, k W, 3]; a large frame itself.
    """
    factor = -(-_MIN_HEIGHT // frame.shape[0])
    if factor == 1:
        return frame
    return cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
