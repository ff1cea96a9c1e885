"""From a letter's logits per frame to text: connectionist temporal classification (Graves 2006)."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from data_pipelines.loading.charset import BLANK, decode
from s2f_jax.tasks.language_model import LanguageModel

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # Odd, so that a product modulo 2^64 loses nothing.


def greedy(logits: np.ndarray, lengths: np.ndarray) -> list[str]:
    """Decodes the likeliest path of each clip.

    Args:
      logits: [B, T, 28], the blank last.
      lengths: Frames of each clip, [B].

    Returns:
      The texts.
    """
    texts = []
    for clip_logits, length in zip(logits, lengths, strict=True):
        path = clip_logits[:length].argmax(axis=-1)
        new = np.diff(path, prepend=BLANK) != 0
        texts.append(decode(path[new & (path != BLANK)]))
    return texts


def beam(
    logits: np.ndarray,
    lengths: np.ndarray,
    width: int = 200,
    language: LanguageModel | None = None,
) -> list[str]:
    """Decodes the likeliest text of each clip, summed over its paths.

    Args:
      logits: [B, T, 28], the blank last.
      lengths: Frames of each clip, [B].
      width: Prefixes that live on at each frame.
      language: How likely each text is in itself; None: all are alike.

    Returns:
      The texts.
    """
    prefixes, scores = beam_prefixes(logits, lengths, width, language)
    return [
        decode(row[(best := np.argmax(score))][row[best] >= 0])
        for row, score in zip(prefixes, scores, strict=True)
    ]


class _Beams(NamedTuple):
    """The beginnings of a text that are still followed; [B, width] unless noted."""

    prefixes: np.ndarray  # [B, width, T], -1 after the last letter.
    size: np.ndarray  # Letters.
    last: np.ndarray  # The last letter; the blank, where there is none.
    own: np.ndarray  # A hash, by which a prefix is known,
    parent: np.ndarray  # and that of the prefix which it extends.
    context: np.ndarray  # Number of the language model's context after it.
    ends_blank: np.ndarray  # Log probability of its paths so far that end in the blank,
    ends_letter: np.ndarray  # and of those that end in its last letter.


def beam_prefixes(
    logits: np.ndarray,
    lengths: np.ndarray,
    width: int,
    language: LanguageModel | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Prefix beam search: at each frame the `width` likeliest beginnings of a text live on.

    Exact where no beginning was dropped.

    Args:
      logits: [B, T, C], the blank last.
      lengths: Frames of each clip, [B].
      width: Width of the beam.
      language: How likely each text is in itself; None: all are alike.

    Returns:
      Prefixes int [B, width, T], -1 after the last letter, and the log of each one's probability, with
      what the language model adds, [B, width], -inf where there are fewer.
    """
    logs = log_softmax(logits.astype(np.float64), axis=-1)
    batch, time, classes = logs.shape
    nothing = np.full((batch, width), -np.inf)
    beams = _Beams(
        prefixes=np.full((batch, width, time), -1, np.int16),
        size=np.zeros((batch, width), np.int64),
        last=np.full((batch, width), classes - 1),
        own=np.zeros((batch, width), np.uint64),
        parent=np.zeros((batch, width), np.uint64),
        context=np.full((batch, width), language.start if language else 0),
        ends_blank=nothing.copy(),
        ends_letter=nothing,
    )
    beams.own[:, 0], beams.ends_blank[:, 0] = 1, 0  # The empty text.
    for t in range(time):
        running = t < lengths
        after = _step(beams, logs[:, t], language)
        beams = _Beams(
            *(
                np.where(running.reshape(-1, *(1,) * (x.ndim - 1)), new, x)
                for x, new in zip(beams, after, strict=True)
            )
        )
    scores = np.logaddexp(beams.ends_blank, beams.ends_letter)
    if language:
        scores = scores + language.end(beams.context)
    return beams.prefixes, scores


def _step(beams: _Beams, log: np.ndarray, language: LanguageModel | None) -> _Beams:
    """One more frame, with the log probabilities [B, C] of its classes."""
    batch, width = beams.last.shape
    blank, rows = log.shape[1] - 1, np.arange(batch)[:, None]
    either = np.logaddexp(beams.ends_blank, beams.ends_letter)
    stay_blank = either + log[:, blank:]
    stay_letter = beams.ends_letter + np.take_along_axis(log, beams.last, axis=1)
    # A letter is new after itself only where a blank lies in between.
    doubled = beams.last[..., None] == np.arange(blank)
    extended = np.where(doubled, beams.ends_blank[..., None], either[..., None])
    extended = extended + log[:, None, :blank]
    if language:
        extended += language.follow(beams.context)
    _join(beams, np.isfinite(either), stay_letter, extended)

    stay = np.logaddexp(stay_blank, stay_letter)
    scores = np.concatenate([stay, extended.reshape(batch, -1)], axis=1)
    kept = np.argpartition(-scores, width - 1, axis=1)[:, :width]
    grown = kept >= width
    source = np.where(grown, (kept - width) // blank, kept)
    letter = (kept - width) % blank
    own, prefixes, size = (x[rows, source] for x in (beams.own, beams.prefixes, beams.size))
    context = beams.context[rows, source]
    if language:
        context = np.where(grown, language.after(context, letter), context)
    clip, slot = np.nonzero(grown)
    prefixes[clip, slot, size[clip, slot]] = letter[clip, slot]
    return _Beams(
        prefixes=prefixes,
        size=size + grown,
        last=np.where(grown, letter, beams.last[rows, source]),
        own=np.where(grown, own * _FACTOR + letter.astype(np.uint64) + np.uint64(1), own),
        parent=np.where(grown, own, beams.parent[rows, source]),
        context=context,
        ends_blank=np.where(grown, -np.inf, stay_blank[rows, source]),
        ends_letter=np.where(grown, scores[rows, kept], stay_letter[rows, source]),
    )


def _join(beams: _Beams, alive: np.ndarray, stay_letter: np.ndarray, extended: np.ndarray) -> None:
    """Where a prefix extended is another one that is there, its paths go to that one, in place.

    alive bool, stay_letter [B, width], extended [B, width, letters].
    """
    same = (beams.own[:, :, None] == beams.parent[:, None, :]) & alive[:, :, None]
    clip, child = np.nonzero(same.any(axis=1) & alive)
    parent, letter = same.argmax(axis=1)[clip, child], beams.last[clip, child]
    paths = extended[clip, parent, letter]
    stay_letter[clip, child] = np.logaddexp(stay_letter[clip, child], paths)
    extended[clip, parent, letter] = -np.inf
