"""The data contract: what every corpus builder yields, so that every config works with all."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds


@dataclasses.dataclass(kw_only=True)
class CorpusConfig(tfds.core.BuilderConfig):
    """The form of the examples. It names the folder on disk, so that two forms never mix."""

    name: str = ""  # Derived from the fields below.
    height: int = 128  # Pixels.
    width: int = 96  # Pixels; 3/4 of the height.
    audio_rate: int = 16000  # Hz.
    fps: int = 25  # Frames/s; divides audio_rate.

    def __post_init__(self):
        if self.audio_rate % self.fps:
            raise ValueError(f"audio_rate={self.audio_rate} is not a multiple of fps={self.fps}")
        self.name = f"{self.height}x{self.width}_{self.audio_rate}hz_{self.fps}fps"


def features() -> tfds.features.FeaturesDict:
    """The features of every corpus; frames stay JPEG bytes, which need no TensorFlow to read."""
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
