"""Shards of a corpus drawn for tests: clips of any length, each frame of another grey level."""

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import contract
from data_pipelines.common.errors import CorruptRecord
from data_pipelines.loading import dataset
from data_pipelines.media.images import encode_jpeg

FORM = contract.CorpusConfig(height=16, width=12, audio_rate=1000, fps=25)


class Drawn(tfds.core.GeneratorBasedBuilder):
    """Clip i of a split has the i-th of its lengths."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def __init__(self, lengths, **kwargs):
        self.lengths = lengths
        super().__init__(config=FORM, file_format="array_record", **kwargs)

    def _info(self):
        longest = {split: max(lengths) for split, lengths in self.lengths.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            features=contract.features(),
            metadata=tfds.core.MetadataDict({"longest": longest}),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {split: self._generate_examples(split) for split in self.lengths}

    def _generate_examples(self, split):
        for i, length in enumerate(self.lengths[split]):
            yield f"{split}{i}", example(f"{split}{i}", f"s{i % 3}", length, seed=i)


def example(name, speaker, frames, seed):
    """Grey levels that rise by one a frame from 40, 60, ..., random landmarks, noise for sound."""
    rng = np.random.default_rng(seed)
    images = np.zeros((frames, FORM.height, FORM.width, 3), np.uint8)
    images += ((40 + 20 * seed + np.arange(frames)) % 200).astype(np.uint8)[:, None, None, None]
    landmarks = rng.uniform(0, 10, (frames, 68, 2)).astype(np.float32)
    made = {
        "id": name,
        "speaker": speaker,
        "transcript": f"words {seed}",
        "fps": FORM.fps,
        "words": [],
        "phones": [],
        "blink": np.zeros(frames, np.float32),
        "frames": [encode_jpeg(image) for image in images],
        "landmarks": landmarks,
        "audio": rng.integers(-9999, 9999, frames * 40).astype(np.int16),
        "audio_rate": FORM.audio_rate,
    }
    contract.check_example(made, FORM)
    return made


def write(data_dir, **lengths):
    """Writes shards, of each split clips of these lengths in frames; returns their folder."""
    builder = Drawn(lengths, data_dir=str(data_dir))
    builder.download_and_prepare()
    return builder.data_path


def shard(data_dir, split="train"):
    (path,) = pathlib.Path(data_dir).glob(f"drawn/*/*/drawn-{split}*")
    return path


def flip(path, *positions):
    """Flips one bit in each of these bytes of a file."""
    content = bytearray(path.read_bytes())
    for position in positions:
        content[position] ^= 1 << position % 8
    path.write_bytes(content)


def unreadable(data_dir, split="train"):
    """Returns the indices of clips that cannot be read."""
    clips, lost = dataset.ClipDataset("drawn", FORM, split, data_dir), []
    for i in range(len(clips)):
        try:
            clips[i]
        except CorruptRecord:
            lost.append(i)
    return lost


def vulnerable(data_dir, tries=60):
    """Returns, by clip, a byte of the training shard whose damage loses that clip alone."""
    path, found = shard(data_dir), {}
    used = len(path.read_bytes().rstrip(b"\0"))
    for position in np.linspace(0, used - 1, tries).astype(int).tolist():
        flip(path, position)
        lost = unreadable(data_dir)
        flip(path, position)
        if len(lost) == 1:
            found[lost[0]] = position
    return found
