"""From a letter's logits per frame to text: connectionist temporal classification (Graves 2006)."""

import numpy as np
from scipy.special import log_softmax

from data_pipelines.letters import BLANK, decode

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # Odd, so that a product modulo 2^64 loses nothing.


def greedy(logits: np.ndarray, lengths: np.ndarray) -> list[str]:
    """logits [B, T, 28], lengths [B] -> the text of each clip's likeliest path."""
    texts = []
    for of_clip, length in zip(logits, lengths, strict=True):
        path = of_clip[:length].argmax(axis=-1)
        new = np.diff(path, prepend=BLANK) != 0
        texts.append(decode(path[new & (path != BLANK)]))
    return texts


def beam(logits: np.ndarray, lengths: np.ndarray, width: int = 200) -> list[str]:
    """logits [B, T, 28], lengths [B] -> the likeliest text of each clip, summed over its paths."""
    prefixes, scores = beam_prefixes(logits, lengths, width)
    return [
        decode(row[(best := np.argmax(score))][row[best] >= 0])
        for row, score in zip(prefixes, scores, strict=True)
    ]


def beam_prefixes(
    logits: np.ndarray, lengths: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Prefix beam search: at each frame the `width` likeliest beginnings live on.

    logits [B, T, C], the blank last, lengths [B] -> prefixes int [B, width, T], -1 after the last
    letter, and the log of each one's probability [B, width], -inf where there are fewer. Exact
    where no beginning was dropped.
    """
    logs = log_softmax(logits.astype(np.float64), axis=-1)
    batch, time, classes = logs.shape
    blank, rows = classes - 1, np.arange(batch)[:, None]
    prefixes = np.full((batch, width, time), -1, np.int16)
    size = np.zeros((batch, width), np.int64)
    last = np.full((batch, width), blank)  # Letter of each prefix; the empty one has none.
    # A prefix is known by its hash, and so is the one that it extends.
    own, parent = np.zeros((2, batch, width), np.uint64)
    own[:, 0] = 1
    # Log probabilities of the paths that end in the blank, and in the last letter.
    ends_blank, ends_letter = np.full((2, batch, width), -np.inf)
    ends_blank[:, 0] = 0
    for t in range(time):
        log, running = logs[:, t], (t < lengths)[:, None]
        either = np.logaddexp(ends_blank, ends_letter)
        stay_blank = either + log[:, blank:]
        repeat = np.where(last == blank, -np.inf, np.take_along_axis(log, last, axis=1))
        stay_letter = ends_letter + repeat
        # A letter is heard twice only with a blank in between.
        doubled = last[..., None] == np.arange(blank)
        extended = np.where(doubled, ends_blank[..., None], either[..., None])
        extended = extended + log[:, None, :blank]
        # What extends to a prefix that is there already goes to that one.
        alive = np.isfinite(either)
        same = (own[:, :, None] == parent[:, None, :]) & alive[:, :, None]
        clip, child = np.nonzero(same.any(axis=1) & alive & (last != blank))
        of_child = same.argmax(axis=1)[clip, child], last[clip, child]
        joined = np.logaddexp(stay_letter[clip, child], extended[clip, *of_child])
        stay_letter[clip, child] = joined
        extended[clip, *of_child] = -np.inf

        stay = np.logaddexp(stay_blank, stay_letter)
        scores = np.concatenate([stay, extended.reshape(batch, -1)], axis=1)
        kept = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        kept = np.where(running, kept, np.arange(width))
        grown = kept >= width
        source = np.where(grown, (kept - width) // blank, kept)
        letter = np.where(grown, (kept - width) % blank, last[rows, source])
        stays_or = np.where(grown, -np.inf, 0)
        score = scores[rows, kept]
        ends_blank, ends_letter = (
            np.where(running, stays_or + stay_blank[rows, source], ends_blank),
            np.where(running, np.where(grown, score, stay_letter[rows, source]), ends_letter),
        )
        parent = np.where(grown, own[rows, source], parent[rows, source])
        own = np.where(
            grown, own[rows, source] * _FACTOR + (letter + 1).astype(np.uint64), own[rows, source]
        )
        prefixes, size, last = prefixes[rows, source], size[rows, source], letter
        clip, slot = np.nonzero(grown)
        prefixes[clip, slot, size[clip, slot]] = letter[clip, slot]
        size = size + grown
    return prefixes, np.logaddexp(ends_blank, ends_letter)
