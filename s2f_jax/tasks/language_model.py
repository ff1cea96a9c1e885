"""A language model of characters for the beam search, as LipNet's (Assael et al. 2016, section 3.4).

How likely a character follows those before it, by the transcripts that the lip reader was trained on:
n-grams, smoothed by interpolation with shorter ones (Witten and Bell 1991).
"""

import collections
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import charset

FILE = "language_model.json"  # In the folder of a lip reader's run.
_EDGE = "|"  # Before the first character of a text and after the last one.
_CHARACTERS = charset.ALPHABET + _EDGE
_SIZE = len(_CHARACTERS)


class LanguageModel(NamedTuple):
    """What the beam search adds to a prefix for each character.

    Attributes:
      log_probabilities: Of each next character after each context, [28^(n - 1), 28]; the last is the
        text's end.
      weight: Factor of the log probabilities.
      bonus: Added for each character, nats: without it short texts are likelier.
    """

    log_probabilities: np.ndarray
    weight: float
    bonus: float

    @property
    def start(self) -> int:
        """The context of a text's first character."""
        return len(self.log_probabilities) - 1

    def follow(self, context: np.ndarray) -> np.ndarray:
        """Scores every character after a context.

        Args:
          context: Numbers of contexts, int [...].

        Returns:
          Nats, [..., 27].
        """
        return self.weight * self.log_probabilities[context, :-1] + self.bonus

    def end(self, context: np.ndarray) -> np.ndarray:
        """Scores the end of a text after a context.

        Args:
          context: Numbers of contexts, int [...].

        Returns:
          Nats, [...].
        """
        return self.weight * self.log_probabilities[context, -1]

    def after(self, context: np.ndarray, character: np.ndarray) -> np.ndarray:
        """Appends a character to a context, which forgets its first.

        Args:
          context: Numbers of contexts, int [...].
          character: Indices of charset.ALPHABET, int [...].

        Returns:
          Numbers of contexts, int [...].
        """
        return (context * _SIZE + character) % len(self.log_probabilities)


def count(texts: Iterable[str], order: int) -> dict[str, int]:
    """Counts the n-grams of texts, from their edge to their edge.

    Args:
      texts: In the form of charset.clean.
      order: Length of an n-gram, n.

    Returns:
      How often each occurs, by its n characters, "|" for an edge.
    """
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        padded = _EDGE * (order - 1) + text + _EDGE
        counts.update(padded[i : i + order] for i in range(len(text) + 1))
    return dict(sorted(counts.items()))


def log_probabilities(counts: Mapping[str, int]) -> np.ndarray:
    """Estimates how likely each character follows each context.

    Args:
      counts: The result of `count`, of at least one n-gram.

    Returns:
      Nats, float32 [28^(n - 1), 28].
    """
    order = len(next(iter(counts)))
    seen = np.zeros((_SIZE,) * order, np.float32)
    for gram, number in counts.items():
        seen[tuple(map(_CHARACTERS.index, gram))] = number
    shorter = [seen]  # Sums over the first character count the shorter n-grams.
    for _ in range(order - 1):
        shorter.append(shorter[-1].sum(axis=0))
    likely = np.full(_SIZE, 1 / _SIZE, np.float32)
    for grams in reversed(shorter):
        kinds = np.maximum((grams > 0).sum(axis=-1, keepdims=True), 1)
        likely = (grams + kinds * likely) / (grams.sum(axis=-1, keepdims=True) + kinds)
    return np.log(likely).astype(np.float32).reshape(-1, _SIZE)


def write(folder: epath.PathLike, texts: Iterable[str], order: int) -> None:
    """Writes a run's language model.

    Args:
      folder: The run's folder.
      texts: Its training transcripts.
      order: Length of an n-gram.
    """
    text = json.dumps(count(texts, order), indent=0) + "\n"
    files.write_atomically(epath.Path(folder) / FILE, text.encode())


def load(folder: epath.PathLike, weight: float, bonus: float) -> LanguageModel:
    """Loads a run's language model.

    Args:
      folder: The run's folder.
      weight: Factor of the log probabilities.
      bonus: Added for each character, nats.

    Returns:
      The language model.

    Raises:
      UserError: The file is missing or damaged.
    """
    path = epath.Path(folder) / FILE
    try:
        counts = {str(gram): int(number) for gram, number in json.loads(path.read_text()).items()}
        (_,) = {len(gram) for gram in counts}
        return LanguageModel(log_probabilities(counts), weight, bonus)
    except (OSError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is missing or damaged ({type(error).__name__}): restore it, or train the lip reader"
            " again"
        ) from error
