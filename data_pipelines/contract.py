"""The data contract: what every corpus builder yields, so that every config works with all."""

import dataclasses
import unicodedata
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds


@dataclasses.dataclass(kw_only=True)
class CorpusConfig(tfds.core.BuilderConfig):
    """Format of the examples, and how to make them.

    Attributes:
      name: Derived from height, width, audio_rate and fps; names the folder on disk, so that two
        formats never mix.
      height: Pixels of a frame.
      width: Pixels of a frame; 3/4 of the height.
      audio_rate: Sampling rate in Hz; a multiple of fps.
      fps: Frames per second.
      max_seconds: Longest recorded clip; longer ones are quarantined.
      max_filled: Share of a clip's sound, 0 to 1, that may be missing in its file and silent in the
        example; clips that lack more are quarantined.
      workers: Number of processes; 0 is one per core. Does not change the data.

    Raises:
      ValueError: audio_rate is not a multiple of fps.
    """

    name: str = ""
    height: int = 128
    width: int = 96
    audio_rate: int = 16000
    fps: int = 25
    max_seconds: float = 30.0
    max_filled: float = 0.75
    workers: int = 0

    def __post_init__(self):
        if self.audio_rate % self.fps:
            raise ValueError(f"audio_rate={self.audio_rate} is not a multiple of fps={self.fps}")
        self.name = f"{self.height}x{self.width}_{self.audio_rate}hz_{self.fps}fps"

    @classmethod
    def options(cls) -> list[str]:
        """Names the fields that only this corpus has, which `config.data.options` sets.

        Returns:
          The fields that CorpusConfig lacks, in order.
        """
        shared = {field.name for field in dataclasses.fields(CorpusConfig)}
        return [field.name for field in dataclasses.fields(cls) if field.name not in shared]

    def content(self) -> dict[str, Any]:
        """Collects the options that decide, beside the folder's name, what the examples are.

        Returns:
          Option names and values of JSON types; stored in the shards' metadata and compared.
        """
        return {name: getattr(self, name) for name in self.options()}


@dataclasses.dataclass(frozen=True)
class TimedText:
    """A word or a phone with its times.

    Attributes:
      text: The word, or the phone's symbol.
      start: Seconds from the clip's start.
      end: Seconds from the clip's start.
    """

    text: str
    start: float
    end: float


def normalize_text(text: str) -> str:
    """Normalizes what is said to lower-case words with their apostrophes, without punctuation.

    Works for any script: a letter's accents and vowel signs (Unicode's category M) belong to it.

    Args:
      text: Any text.

    Returns:
      Words with one space between them.
    """
    text = unicodedata.normalize("NFC", text.lower()).replace("\u2019", "'")
    letters = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    words = (word.strip("'") for word in "".join(letters).split())
    return " ".join(word for word in words if word)


def features() -> tfds.features.FeaturesDict:
    """Defines the features of every corpus.

    Returns:
      TFDS's description of an example. Frames stay JPEG bytes, which need no TensorFlow to read.
    """
    text = tfds.features.Tensor(shape=(), dtype=np.object_)
    span = {"text": text, "start": np.float32, "end": np.float32}  # Seconds.
    return tfds.features.FeaturesDict(
        {
            "id": text,
            "speaker": text,
            "transcript": text,  # May be empty.
            "fps": np.float32,
            "words": tfds.features.Sequence(span),  # May be empty.
            "phones": tfds.features.Sequence(span),  # May be empty.
            "blink": tfds.features.Tensor(shape=(None,), dtype=np.float32),
            "frames": tfds.features.Sequence(text),  # JPEG, RGB, quality 95, 4:4:4.
            "landmarks": tfds.features.Tensor(shape=(None, 68, 2), dtype=np.float32),
            "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
            "audio_rate": np.int32,
        }
    )


def check_example(example: dict[str, Any], config: CorpusConfig) -> None:
    """Checks that an example keeps the contract; TFDS would hide the reason why it does not.

    Args:
      example: An example with the keys of `features`.
      config: Format of the examples.

    Raises:
      ValueError: It breaks the contract.
    """
    t = len(example["frames"])
    arrays = {
        "blink": ((t,), np.float32),
        "landmarks": ((t, 68, 2), np.float32),
        "audio": ((t * config.audio_rate // config.fps,), np.int16),
    }
    if missing := set(features()) - set(example):
        raise ValueError(f"{example.get('id')} lacks {sorted(missing)}")
    wrong = []
    for name, (shape, dtype) in arrays.items():
        value = example[name]
        if value.shape != shape or value.dtype != dtype:
            wrong.append(f"{name}: {value.dtype} {value.shape} instead of {dtype.__name__} {shape}")
    if not t:
        wrong.append("frames: none")
    else:
        first = cv2.imdecode(np.frombuffer(example["frames"][0], np.uint8), cv2.IMREAD_COLOR_RGB)
        if first is None or first.shape != (config.height, config.width, 3):
            wrong.append(f"frames: not JPEGs of {config.height}x{config.width}")
    if not np.isfinite(example["landmarks"]).all():
        wrong.append("landmarks: not finite")
    if (example["fps"], example["audio_rate"]) != (config.fps, config.audio_rate):
        wrong.append(f"rates: {example['fps']} frames/s, {example['audio_rate']} Hz")
    for name in ("words", "phones"):
        if any(not 0 <= span["start"] <= span["end"] for span in example[name]):
            wrong.append(f"{name}: a span that ends before it starts")
    if wrong:
        raise ValueError(f"{example['id']} breaks the data contract: {'; '.join(wrong)}")
