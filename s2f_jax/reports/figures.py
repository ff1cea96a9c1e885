"""The paper's figures, remade from any run: one sound on several faces, and generated expressions."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from etils import epath

from data_pipelines.common import files
from data_pipelines.media import images
from s2f_jax.reports.expressions import ExpressionCollector
from s2f_jax.reports.scores import Sample

# stills uint8 [B, H, W, 3], B sounds int16 [S_i], seed -> B videos uint8 [T_i, H, W, 3].
Generate = Callable[[np.ndarray, list[np.ndarray], int], list[np.ndarray]]

_HEIGHT = 128  # Pixels that a frame has at least; smaller ones are enlarged.
GAP = 6  # White pixels between what does not belong together.
_AROUND = 7  # Frames of an expression.
_LOOKED_AT = 2000  # Clips, for as many speakers as are asked for.


def shared_audio_figure(
    clips: Sequence,
    generate: Generate,
    *,
    faces: int = 4,
    columns: int = 9,
    batch_size: int = 8,
    seed: int = 0,
) -> tuple[np.ndarray, str]:
    """One clip's sound on the stills of other speakers (paper, Fig. 4) -> uint8 [H, W, 3], caption.

    A row for each face: its still, then every k-th generated frame; above them the real frames of the
    sound's own clip. The stills are as `cast` has them; a split of one clip gets its own.
    batch_size: the faces are padded to it, as the model has been compiled for that.
    """
    sounding, *others = sample_speakers(clips, 1 + min(faces, batch_size), seed)
    others = others or [sounding]
    stills = np.stack([clip.frames[0] for clip in others])
    padded = np.concatenate([stills, np.repeat(stills[-1:], batch_size - len(stills), axis=0)])
    videos = generate(padded, [sounding.audio] * batch_size, seed)[: len(stills)]
    at = np.linspace(0, len(sounding) - 1, min(columns + 2, len(sounding))).round().astype(int)
    at = at[1:-1] if len(at) > columns else at  # Sentences begin and end with a closed mouth.
    rows = [
        np.concatenate([still[None], video[at]])
        for still, video in zip(stills, videos, strict=True)
    ]
    real = np.concatenate([sounding.frames[:1], sounding.frames[at]])
    said = f" (“{sounding.transcript}”)" if sounding.transcript else ""
    caption = (
        f"the sound of {sounding.id}{said}: its real frames, and under them the faces of"
        f" {', '.join(clip.speaker or clip.id for clip in others)}, each after its still;"
        f" frames {', '.join(map(str, at.tolist()))}"
    )
    picture = _stacked([[real], rows])
    beside = picture.shape[1] // len(real)  # The stills stand apart from what is made of them.
    gap = np.full((len(picture), GAP, 3), 255, np.uint8)
    return np.hstack([picture[:, :beside], gap, picture[:, beside:]]), caption


def sample_speakers(clips: Sequence, count: int, seed: int) -> list:
    """At most `count` clips at random, of as many speakers as there are, who come first.

    Whoever is unknown is another one each time.
    """
    of_speakers, more = {}, []
    for i in np.random.default_rng(seed).permutation(len(clips))[:_LOOKED_AT].tolist():
        clip = clips[i]
        if of_speakers.setdefault(clip.speaker or clip.id, clip) is not clip:
            more = [*more, clip][:count]
        if len(of_speakers) == count:
            break
    return [*of_speakers.values(), *more][:count]


def expression_figure(expressions: ExpressionCollector) -> np.ndarray | None:
    """uint8 [H, W, 3]: one a row, kind below kind; None where there was none."""
    strips = [[each.around(_AROUND) for each in of] for of in expressions.found.values() if of]
    return _stacked(strips) if strips else None


def write_figures(
    output: epath.PathLike,
    clips: Sequence,
    generate: Generate,
    expressions: ExpressionCollector,
    *,
    batch_size: int = 8,
    seed: int = 0,
) -> list[Sample]:
    """Both figures as PNG files in `<output>/figures`, for report.write."""
    image, caption = shared_audio_figure(clips, generate, batch_size=batch_size, seed=seed)
    pictures = [
        (
            "shared_audio_figure",
            "One sound on several faces (as the paper's Fig. 4)",
            image,
            caption,
        )
    ]
    found = expression_figure(expressions)
    if found is not None:
        title = "Generated blinks and frowns (as the paper's Fig. 5)"
        pictures.append(("expressions", title, found, expressions.note()))
    samples = []
    for name, title, picture, note in pictures:
        path = epath.Path(output) / "figures" / f"{name}.png"
        files.write_atomically(path, images.encode_png(picture))
        samples.append(Sample(title, note, path))
    return samples


def _stacked(groups: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Groups of strips uint8 [n, H, W, 3], one below the other, with a gap between groups."""
    rows = []
    for group in groups:
        strips = [np.hstack([upscale(frame) for frame in strip]) for strip in group]
        if rows:
            rows.append(np.full((GAP, rows[0].shape[1], 3), 255, np.uint8))
        rows += strips
    return np.vstack(rows)


def upscale(frame: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> a whole number of times as large, so that people see it."""
    factor = -(-_HEIGHT // frame.shape[0])
    if factor == 1:
        return frame
    return cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
