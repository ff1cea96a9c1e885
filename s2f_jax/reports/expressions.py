"""Generated expressions (paper, Fig. 5): where eyes close deepest, and brows sink or rise most."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

KINDS = ("blink", "frown", "raised brow")
# Least movement of the brows, in distances between the eyes. At rest they sink by up to 0.024 in
# real videos; in drawn ones they rise by up to 0.020 at rest, and by 0.040 or more when raised.
_MIN_BROW_MOVEMENT = {"frown": 0.025, "raised brow": 0.03}


@dataclasses.dataclass(frozen=True)
class Expression:
    """An expression and the video that shows it.

    Attributes:
      depth: Closing of the eyes, in aspect ratio, or movement of the brows, in eye distances.
      name: Name of the clip.
      speaker: "" where unknown.
      frames: Indices of the first, deepest and last frame.
      video: uint8 [T, H, W, 3].
    """

    depth: float
    name: str
    speaker: str
    frames: tuple[int, int, int]
    video: np.ndarray

    def strip(self, columns: int) -> np.ndarray:
        """Picks frames at equal steps, the deepest one in the middle where possible.

        Args:
          columns: Number of frames, 2 or more.

        Returns:
          uint8 [columns, H, W, 3]; of a shorter video all frames, the last one repeated.
        """
        first, deepest, last = self.frames
        step = max(1, -(-(max(deepest - first, last - deepest) * 2) // (columns - 1)))
        step = min(step, max(1, (len(self.video) - 1) // (columns - 1)))
        return self.video[centered_frames(deepest, columns, len(self.video), step)]


class ExpressionCollector:
    """Collects the deepest expressions of each kind from videos.

    Args:
      kinds: Some of KINDS.
      rows: Most expressions of each kind.

    Attributes:
      by_kind: Kind -> expressions, deepest first.
    """

    def __init__(self, kinds: Sequence[str] = KINDS[:2], rows: int = 3):
        self._rows = rows
        self.by_kind: dict[str, list[Expression]] = {kind: [] for kind in kinds}

    def add(
        self, name: str, speaker: str, video: np.ndarray, curves: Mapping[str, np.ndarray]
    ) -> None:
        """Adds a video.

        Args:
          name: Name of the clip.
          speaker: "" where unknown.
          video: Generated, uint8 [T, H, W, 3].
          curves: Curves of the clip's metrics.scoring.Scores; "blinks" [n, 3] (first, deepest,
            last frame), "eye_opening" [T] and "brow_height" [T] are used.
        """
        opening = curves.get("eye_opening")
        for first, deepest, last in np.asarray(curves.get("blinks", ()), int).reshape(-1, 3):
            depth = 1.0
            if opening is not None:
                depth = float(min(opening[first], opening[last]) - opening[deepest])
            frames = int(first), int(deepest), int(last)
            self._insert("blink", Expression(depth, name, speaker, frames, video))
        heights = np.asarray(curves.get("brow_height", ()), float)
        for kind, series in (("frown", heights), ("raised brow", -heights)):
            if dip := _deepest_dip(series, _MIN_BROW_MOVEMENT[kind]):
                self._insert(kind, Expression(dip[0], name, speaker, dip[1], video))

    def caption(self) -> str:
        """Tells which clips the expressions are from.

        Returns:
          "blinks: a at frame 3, b at frame 20; frowns: none was found".
        """
        parts = []
        for kind, expressions in self.by_kind.items():
            places = ", ".join(f"{e.name} at frame {e.frames[1]}" for e in expressions)
            parts.append(f"{kind}s: {places or 'none was found'}")
        return "; ".join(parts)

    def _insert(self, kind: str, expression: Expression) -> None:
        """Inserts an expression if it is among the deepest; one per known speaker."""
        if kind not in self.by_kind:
            return
        speakers, best = set(), []
        for e in sorted([*self.by_kind[kind], expression], key=lambda e: -e.depth):
            if not e.speaker or e.speaker not in speakers:
                speakers.add(e.speaker)
                best.append(e)
        self.by_kind[kind] = [
            # A view would keep the frames of its whole batch in memory.
            dataclasses.replace(e, video=e.video.copy()) if e is expression else e
            for e in best[: self._rows]
        ]


def centered_frames(middle: int, count: int, frames: int, step: int = 1) -> np.ndarray:
    """Picks frame indices at equal steps around a frame.

    Args:
      middle: Index of the frame, in the middle unless the video's ends are too near.
      count: Number of indices.
      frames: Frames of the video.
      step: Between two indices.

    Returns:
      int [count]; of a shorter video the last index is repeated.
    """
    start = min(middle - count // 2 * step, frames - 1 - (count - 1) * step)
    return np.minimum(max(start, 0) + step * np.arange(count), frames - 1)


def _deepest_dip(
    heights: np.ndarray, min_depth: float
) -> tuple[float, tuple[int, int, int]] | None:
    """Returns depth below the median, and first, lowest and last frame, of the deepest dip of heights [T].

    A dip lasts as long as it is lower than half of its depth. None where it is not deep enough.
    """
    if len(heights) < 3 or not np.isfinite(heights).all():
        return None
    median, lowest = float(np.median(heights)), int(np.argmin(heights))
    depth = median - float(heights[lowest])
    if depth < min_depth:
        return None
    high = np.flatnonzero(heights > median - depth / 2)
    first = int(high[high < lowest].max(initial=0))
    last = int(high[high > lowest].min(initial=len(heights) - 1))
    return depth, (first, lowest, last)
