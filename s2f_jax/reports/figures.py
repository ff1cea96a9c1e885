"""The paper's figures, remade from any run: one sound on several faces, and generated expressions."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from etils import epath

from data_pipelines import files, media
from s2f_jax.report import Sample

# stills uint8 [B, H, W, 3], B sounds int16 [S_i], seed -> B videos uint8 [T_i, H, W, 3].
Generate = Callable[[np.ndarray, list[np.ndarray], int], list[np.ndarray]]

_HEIGHT = 128  # Pixels that a frame has at least; smaller ones are enlarged.
_GAP = 6  # White pixels between what does not belong together.
_FROWN_DEPTH = 0.025  # Of the distance of the eyes; real faces at rest reach 0.024.


@dataclasses.dataclass(frozen=True)
class _Expression:
    depth: float  # How far the eyes close, or the brows sink.
    name: str  # Of the clip.
    speaker: str
    at: int  # Its deepest frame.
    strip: np.ndarray  # uint8 [columns, H, W, 3].


class Expressions:
    """The deepest blinks and frowns of the videos that it is shown (paper, Fig. 5)."""

    def __init__(self, rows: int = 3, columns: int = 7):
        self._rows, self._columns = rows, columns
        self._found: dict[str, list[_Expression]] = {"blink": [], "frown": []}

    def add(
        self, name: str, speaker: str, video: np.ndarray, curves: Mapping[str, np.ndarray]
    ) -> None:
        """video: generated, uint8 [T, H, W, 3]; curves: of its metrics.scoring.Scores.

        Uses "blinks" [n, 3] (first, deepest, last frame), "eye_opening" [T] and "brow_height" [T].
        """
        opening = curves.get("eye_opening")
        for first, deepest, last in np.asarray(curves.get("blinks", ()), int).reshape(-1, 3):
            depth = 1.0
            if opening is not None:
                depth = float(min(opening[first], opening[last]) - opening[deepest])
            self._keep("blink", depth, name, speaker, video, (first, deepest, last))
        for depth, frames in _dips(np.asarray(curves.get("brow_height", ()), float)):
            self._keep("frown", depth, name, speaker, video, frames)

    def image(self) -> np.ndarray | None:
        """uint8 [H, W, 3]: one a row, blinks above frowns; None where there was neither."""
        strips = [[each.strip for each in found] for found in self._found.values() if found]
        return _stacked(strips) if strips else None

    def note(self) -> str:
        """Whose they are, for a caption."""
        parts = []
        for kind, found in self._found.items():
            whose = ", ".join(f"{each.name} at frame {each.at}" for each in found)
            parts.append(f"{kind}s: {whose or 'none was found'}")
        return "; ".join(parts)

    def _keep(
        self,
        kind: str,
        depth: float,
        name: str,
        speaker: str,
        video: np.ndarray,
        frames: tuple[int, int, int],
    ) -> None:
        """One of every speaker, as long as there are speakers enough; where known."""
        found = self._found[kind]
        strip = video[_around(*frames, len(video), self._columns)].copy()
        found.append(_Expression(depth, name, speaker, int(frames[1]), strip))
        found.sort(key=lambda each: -each.depth)
        seen, best = set(), []
        for each in found:
            if not each.speaker or each.speaker not in seen:
                seen.add(each.speaker)
                best.append(each)
        self._found[kind] = best[: self._rows]


def same_sound(
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
    sound's own clip. The stills are of as many speakers as there are; a split of one clip gets its own.
    batch_size: the faces are padded to it, as the model has been compiled for that.
    """
    faces = min(faces, batch_size)
    order = np.random.default_rng(seed).permutation(len(clips)).tolist()
    sounding = clips[order[0]]
    chosen: dict[str, int] = {}
    for i in order[1:]:
        speaker = clips[i].speaker
        if speaker != sounding.speaker and len(chosen) < faces:
            chosen.setdefault(speaker, i)
    others = [clips[i] for i in chosen.values()] or [sounding]
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
    gap = np.full((len(picture), _GAP, 3), 255, np.uint8)
    return np.hstack([picture[:, :beside], gap, picture[:, beside:]]), caption


def write(
    output: epath.PathLike,
    clips: Sequence,
    generate: Generate,
    expressions: Expressions,
    *,
    batch_size: int = 8,
    seed: int = 0,
) -> list[Sample]:
    """Both figures as PNG files in `<output>/figures`, for report.write."""
    image, caption = same_sound(clips, generate, batch_size=batch_size, seed=seed)
    pictures = [
        ("same_sound", "One sound on several faces (as the paper's Fig. 4)", image, caption)
    ]
    found = expressions.image()
    if found is not None:
        title = "Generated blinks and frowns (as the paper's Fig. 5)"
        pictures.append(("expressions", title, found, expressions.note()))
    samples = []
    for name, title, picture, note in pictures:
        path = epath.Path(output) / "figures" / f"{name}.png"
        files.write_atomically(path, media.encode_png(picture))
        samples.append(Sample(title, note, path))
    return samples


def _dips(heights: np.ndarray) -> list[tuple[float, tuple[int, int, int]]]:
    """Brow heights [T] -> depth below the usual, and (first, lowest, last) frame, of the deepest dip.

    A dip lasts as long as the brows are lower than half of its depth.
    """
    if len(heights) < 3 or not np.isfinite(heights).all():
        return []
    usual, lowest = float(np.median(heights)), int(np.argmin(heights))
    depth = usual - float(heights[lowest])
    if depth < _FROWN_DEPTH:
        return []
    high = np.flatnonzero(heights > usual - depth / 2)
    first = int(high[high < lowest].max(initial=0))
    last = int(high[high > lowest].min(initial=len(heights) - 1))
    return [(depth, (first, lowest, last))]


def _around(first: int, deepest: int, last: int, frames: int, columns: int) -> np.ndarray:
    """`columns` frames at equal steps that show first to last, the deepest in the middle if it can
    be; all of a shorter video, the last one repeated."""
    step = max(1, -(-(max(deepest - first, last - deepest) * 2) // (columns - 1)))
    step = min(step, max(1, (frames - 1) // (columns - 1)))
    start = min(deepest - columns // 2 * step, frames - 1 - (columns - 1) * step)
    return np.minimum(max(start, 0) + step * np.arange(columns), frames - 1)


def _stacked(groups: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Groups of strips uint8 [n, H, W, 3], one below the other, with a gap between groups."""
    rows = []
    for group in groups:
        strips = [np.hstack([_enlarged(frame) for frame in strip]) for strip in group]
        if rows:
            rows.append(np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8))
        rows += strips
    return np.vstack(rows)


def _enlarged(frame: np.ndarray) -> np.ndarray:
    factor = -(-_HEIGHT // frame.shape[0])
    if factor == 1:
        return frame
    return cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
