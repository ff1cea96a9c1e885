"""Generated expressions (paper, Fig. 5): where eyes close deepest, and brows sink or rise most."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

KINDS = ("blink", "frown", "raised brow")
# Distances of the eyes by which brows sink or rise at least. At rest they sink by up to 0.024 in real
# videos; in drawn ones they rise by up to 0.020 at rest, and by 0.040 or more where they are raised.
_MOVED = {"frown": 0.025, "raised brow": 0.03}


@dataclasses.dataclass(frozen=True)
class Expression:
    """One, and the video that it was seen in."""

    depth: float  # How far the eyes close, or the brows move.
    name: str  # Of the clip.
    speaker: str  # "" where unknown.
    frames: tuple[int, int, int]  # First, deepest, last.
    video: np.ndarray  # uint8 [T, H, W, 3].

    def around(self, columns: int) -> np.ndarray:
        """`columns` of its frames at equal steps, the deepest one in the middle if it can be; all of
        a shorter video, the last one repeated."""
        first, deepest, last = self.frames
        step = max(1, -(-(max(deepest - first, last - deepest) * 2) // (columns - 1)))
        step = min(step, max(1, (len(self.video) - 1) // (columns - 1)))
        return self.video[centered_frames(deepest, columns, len(self.video), step)]


class ExpressionCollector:
    """The deepest ones of each kind in the videos that it is shown."""

    def __init__(self, kinds: Sequence[str] = KINDS[:2], rows: int = 3):
        self._rows = rows
        self.found: dict[str, list[Expression]] = {kind: [] for kind in kinds}

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
            frames = int(first), int(deepest), int(last)
            self._keep("blink", Expression(depth, name, speaker, frames, video))
        heights = np.asarray(curves.get("brow_height", ()), float)
        for kind, sinking in (("frown", heights), ("raised brow", -heights)):
            for depth, frames in _dips(sinking, _MOVED[kind]):
                self._keep(kind, Expression(depth, name, speaker, frames, video))

    def note(self) -> str:
        """Whose they are, for a caption."""
        parts = []
        for kind, found in self.found.items():
            whose = ", ".join(f"{each.name} at frame {each.frames[1]}" for each in found)
            parts.append(f"{kind}s: {whose or 'none was found'}")
        return "; ".join(parts)

    def _keep(self, kind: str, expression: Expression) -> None:
        """One of every speaker, as long as there are speakers enough; where known."""
        if kind not in self.found:
            return
        seen, best = set(), []
        for each in sorted([*self.found[kind], expression], key=lambda each: -each.depth):
            if not each.speaker or each.speaker not in seen:
                seen.add(each.speaker)
                best.append(each)
        self.found[kind] = [
            # Of a batch's frames, that would stay in memory with it.
            dataclasses.replace(each, video=each.video.copy()) if each is expression else each
            for each in best[: self._rows]
        ]


def centered_frames(middle: int, count: int, frames: int, step: int = 1) -> np.ndarray:
    """`count` numbers of frames, every step-th, around the middle one as far as there are so many;
    of a shorter video its last one is repeated."""
    start = min(middle - count // 2 * step, frames - 1 - (count - 1) * step)
    return np.minimum(max(start, 0) + step * np.arange(count), frames - 1)


def _dips(heights: np.ndarray, least: float) -> list[tuple[float, tuple[int, int, int]]]:
    """Heights [T] -> depth below the usual, and (first, lowest, last) frame, of the deepest dip, if
    that is deep enough.

    A dip lasts as long as it is lower than half of its depth.
    """
    if len(heights) < 3 or not np.isfinite(heights).all():
        return []
    usual, lowest = float(np.median(heights)), int(np.argmin(heights))
    depth = usual - float(heights[lowest])
    if depth < least:
        return []
    high = np.flatnonzero(heights > usual - depth / 2)
    first = int(high[high < lowest].max(initial=0))
    last = int(high[high > lowest].min(initial=len(heights) - 1))
    return [(depth, (first, lowest, last))]
