"""The demo corpus: talking heads drawn by code, speaking GRID's sentences with eSpeak NG."""

import dataclasses
import multiprocessing
import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import soxr
import tensorflow_datasets as tfds

from data_pipelines import contract
from data_pipelines.aligning import shards
from data_pipelines.common import errors
from data_pipelines.demo import draw, face, motion, speech
from data_pipelines.media.images import encode_jpeg

SECONDS = 3  # Of every clip, as in GRID.
_SPLITS = ("train", "val", "test")


@dataclasses.dataclass(kw_only=True)
class DemoConfig(contract.CorpusConfig):
    """How much is drawn; of these, only the form of the examples is in the folder's name."""

    train_speakers: int = 320
    val_speakers: int = 24
    test_speakers: int = 24
    train_clips: int = 4  # Per speaker.
    val_clips: int = 2  # Per speaker.
    test_clips: int = 3  # Per speaker.
    seed: int = 0
    workers: int = 0  # Processes; 0 is one per core. Changes nothing in the data.

    def __post_init__(self):
        super().__post_init__()
        for name, value in self.content().items():
            if value < (name != "seed"):
                raise errors.UserError(f"The demo corpus cannot be made with {name}={value}")

    def content(self) -> dict[str, int]:
        """What, beside the folder's name, decides the examples."""
        names = [f"{split}_{what}" for split in _SPLITS for what in ("speakers", "clips")]
        return {name: getattr(self, name) for name in [*names, "seed"]}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Draws the corpus; no downloads, the same examples from the same seed."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def __init__(self, *, config=None, file_format="array_record", **kwargs):
        if not isinstance(config, DemoConfig):
            form = config or contract.CorpusConfig()
            names = ("height", "width", "audio_rate", "fps")
            config = DemoConfig(**{name: getattr(form, name) for name in names})
        super().__init__(config=config, file_format=file_format, **kwargs)

    @property
    def demo_config(self) -> DemoConfig:
        assert isinstance(self.builder_config, DemoConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        longest = {split: SECONDS * self.demo_config.fps for split in _SPLITS}  # Frames.
        return self.dataset_info_from_configs(
            features=contract.features(),
            metadata=tfds.core.MetadataDict(self.demo_config.content() | {"longest": longest}),
        )

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return shards.ShardWriter()

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        del dl_manager
        speech.library()  # Where it is missing, say so before any work.
        return {split: self._generate_examples(split) for split in _SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
        config = self.demo_config
        speakers = range(getattr(config, f"{split}_speakers"))
        jobs = [(config, split, speaker) for speaker in speakers]
        workers = min(config.workers or os.cpu_count() or 1, len(jobs))
        if workers <= 1:
            for job in jobs:
                yield from _speaker(job)
            return
        context = multiprocessing.get_context("spawn")  # Forking a process with threads may hang.
        # One OpenCV thread each: the pool has a process per core already.
        with context.Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            for examples in pool.imap(_speaker, jobs):
                yield from examples


def builder(
    height: int,
    width: int,
    audio_rate: int,
    fps: int,
    data_dir: str | os.PathLike,
    workers: int = 0,
    **options: Any,
) -> Builder:
    """The builder for one form of the data; options as in DemoConfig.

    Raises errors.UserError for an option that there is not, and where the folder already holds a
    demo of other options.
    """
    known = {field.name for field in dataclasses.fields(DemoConfig)}
    if unknown := options.keys() - known:
        raise errors.UserError(f"The demo corpus has no option {min(unknown)!r}; leave it out.")
    config = DemoConfig(
        height=height, width=width, audio_rate=audio_rate, fps=fps, workers=workers, **options
    )
    result = Builder(config=config, data_dir=data_dir)
    found = {name: (result.info.metadata or {}).get(name) for name in config.content()}
    if found != config.content():
        raise errors.UserError(
            f"{result.data_path} holds a demo made with {found}, not {config.content()}: "
            "delete it or choose another data_dir"
        )
    return result


def _speaker(job: tuple[DemoConfig, str, int]) -> list[tuple[str, dict]]:
    """All clips of one speaker; the worker's unit, since a head is painted once."""
    config, split, speaker = job
    seed = (config.seed, _SPLITS.index(split), speaker)
    rng = np.random.default_rng(seed)
    name = f"{'dvt'[_SPLITS.index(split)]}{speaker:03d}"
    who = face.random_face(rng)
    voice = speech.Voice(
        name=speech.VOICES[rng.integers(len(speech.VOICES))],
        pitch=int(rng.integers(30, 71)),
        pitch_range=int(rng.integers(30, 71)),
    )
    amplitude = rng.uniform(0.88, 1.12)
    painter = draw.FacePainter(who, config.height, config.width, int(rng.integers(2**31)))
    examples = {}
    while len(examples) < getattr(config, f"{split}_clips"):
        sentence = speech.random_sentence(rng)
        key = f"{name}_{speech.code(sentence)}"
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
    performance = motion.perform(rng, phones, frames, config.fps, amplitude)
    images, landmarks = painter(performance)
    return {
        "transcript": " ".join(sentence),
        "fps": config.fps,
        "words": [dataclasses.asdict(word) for word in words],
        "phones": [dataclasses.asdict(phone) for phone in phones],
        "blink": performance.blink.astype(np.float32),
        "frames": [encode_jpeg(image) for image in images],
        "landmarks": landmarks,
        "audio": audio,
        "audio_rate": config.audio_rate,
    }


def _sound(
    config, rng, voice, sentence
) -> tuple[np.ndarray, list[speech.PhoneSpan], list[speech.PhoneSpan]]:
    """-> int16 [S] with silence around the speech, words, phones; onset and pace vary."""
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
    return audio, _later(words, onset), _later(phones, onset)


def _later(spans: list[speech.PhoneSpan], onset: float) -> list[speech.PhoneSpan]:
    return [speech.PhoneSpan(span.text, span.start + onset, span.end + onset) for span in spans]
