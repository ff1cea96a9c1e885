"""The demo corpus: talking heads drawn by code that speak GRID's sentences with eSpeak NG."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import soxr
import tensorflow_datasets as tfds

from data_pipelines import contract
from data_pipelines.aligning import shards
from data_pipelines.common.errors import UserError
from data_pipelines.common.processes import WorkerPool
from data_pipelines.contract import TimedText
from data_pipelines.demo import draw, face, motion, speech
from data_pipelines.media.images import encode_jpeg

SECONDS = 3  # Of every clip, as in GRID.
_SPLITS = ("train", "val", "test")


@dataclasses.dataclass(kw_only=True)
class DemoConfig(contract.CorpusConfig):
    """Format of the examples, and how many are drawn.

    Attributes:
      train_speakers: Speakers of the split train, 1 or more.
      val_speakers: Speakers of the split val, 1 or more.
      test_speakers: Speakers of the split test, 1 or more.
      train_clips: Number of training clips of each speaker, 1 or more.
      val_clips: Number of validation clips of each speaker, 1 or more.
      test_clips: Number of test clips of each speaker, 1 or more.
      seed: Another seed is another corpus; 0 or more.
    """

    train_speakers: int = 320
    val_speakers: int = 24
    test_speakers: int = 24
    train_clips: int = 4
    val_clips: int = 2
    test_clips: int = 3
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        for name, value in self.content().items():
            if value < (least := int(name != "seed")):
                raise UserError(f"config.data.options.{name}={value}: must be {least} or more")


class Builder(tfds.core.GeneratorBasedBuilder):
    """Draws the corpus; no downloads, the same examples from the same seed.

    Args:
      config: Format and number of the examples; None: all defaults.
      file_format: File format of the shards.
      **kwargs: Arguments of TFDS's DatasetBuilder.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    CONFIG = DemoConfig

    def __init__(self, *, config=None, file_format="array_record", **kwargs):
        super().__init__(config=config or DemoConfig(), file_format=file_format, **kwargs)

    @property
    def config(self) -> DemoConfig:
        """The builder's config."""
        assert isinstance(self.builder_config, DemoConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        longest = {split: SECONDS * self.config.fps for split in _SPLITS}  # Frames.
        return self.dataset_info_from_configs(
            features=contract.features(),
            metadata=tfds.core.MetadataDict(self.config.content() | {"longest": longest}),
        )

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return shards.ShardWriter()

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        speech.library()  # A missing one is reported before any work.
        return {split: self._generate_examples(split) for split in _SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
        config = self.config
        speakers = range(getattr(config, f"{split}_speakers"))
        jobs = [(config, split, speaker) for speaker in speakers]
        with WorkerPool(config.workers, len(jobs)) as pool:
            for examples in pool.map(_speaker, jobs):
                yield from examples


def _speaker(job: tuple[DemoConfig, str, int]) -> list[tuple[str, dict]]:
    """Returns all clips of one speaker; one job, since the head is painted once."""
    config, split, speaker = job
    seed = (config.seed, _SPLITS.index(split), speaker)
    rng = np.random.default_rng(seed)
    name = f"{'dvt'[_SPLITS.index(split)]}{speaker:03d}"
    drawn_face = face.random_face(rng)
    voice = speech.Voice(
        name=speech.VOICES[rng.integers(len(speech.VOICES))],
        pitch=int(rng.integers(30, 71)),
        pitch_range=int(rng.integers(30, 71)),
    )
    amplitude = rng.uniform(0.88, 1.12)
    painter = draw.FacePainter(drawn_face, config.height, config.width, int(rng.integers(2**31)))
    examples = {}
    while len(examples) < getattr(config, f"{split}_clips"):
        sentence = speech.random_sentence(rng)
        key = f"{name}_{speech.sentence_code(sentence)}"
        if key not in examples:
            examples[key] = _clip(config, rng, painter, voice, amplitude, sentence)
            examples[key] |= {"id": key, "speaker": name}
    return list(examples.items())


def _clip(
    config: DemoConfig,
    rng: np.random.Generator,
    painter: draw.FacePainter,
    voice: speech.Voice,
    amplitude: float,
    sentence: tuple[str, ...],
) -> dict:
    frames = SECONDS * config.fps
    audio, words, phones = _sound(config, rng, voice, sentence)
    face_motion = motion.random_motion(rng, phones, frames, config.fps, amplitude)
    images, landmarks = painter(face_motion)
    return {
        "transcript": " ".join(sentence),
        "fps": config.fps,
        "words": [dataclasses.asdict(word) for word in words],
        "phones": [dataclasses.asdict(phone) for phone in phones],
        "blink": face_motion.blink.astype(np.float32),
        "frames": [encode_jpeg(image) for image in images],
        "landmarks": landmarks,
        "audio": audio,
        "audio_rate": config.audio_rate,
    }


def _sound(
    config: DemoConfig, rng: np.random.Generator, voice: speech.Voice, sentence: tuple[str, ...]
) -> tuple[np.ndarray, list[TimedText], list[TimedText]]:
    """Returns int16 [S] with silence around the speech, words, phones; onset and pace vary."""
    pace = int(rng.integers(105, 160))
    samples, words, phones = speech.speak(sentence, dataclasses.replace(voice, rate=pace))
    while phones[-1].end - phones[0].start > SECONDS - 0.35:  # The slowest voices drawl.
        pace = round(1.15 * pace)
        samples, words, phones = speech.speak(sentence, dataclasses.replace(voice, rate=pace))
    latest = SECONDS - 0.15 - (phones[-1].end - phones[0].start)
    onset = rng.uniform(0.18, min(0.9, latest)) - phones[0].start
    resampled = soxr.resample(samples.astype(np.float32), speech.RATE, config.audio_rate)
    audio = np.zeros(SECONDS * config.audio_rate)
    first = max(0, round(onset * config.audio_rate))
    part = resampled[: len(audio) - first]
    audio[first : first + len(part)] = part * 10 ** (rng.uniform(-8, 0) / 20)
    audio += rng.normal(0, rng.uniform(4, 25), len(audio))
    audio = np.clip(np.round(audio), -32768, 32767).astype(np.int16)
    return audio, _shifted(words, onset), _shifted(phones, onset)


def _shifted(spans: list[TimedText], seconds: float) -> list[TimedText]:
    return [TimedText(span.text, span.start + seconds, span.end + seconds) for span in spans]
