"""What the builders of recorded corpora share: cached alignment, quarantine, contact sheets."""

import abc
import dataclasses
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import clips, corpus, media, pool
from data_pipelines.clips import RawClip
from data_pipelines.errors import UserError

_SHEET_CLIPS, _SHEET_FRAMES = 8, 8  # Of a contact sheet: rows and columns.


@dataclasses.dataclass(kw_only=True)
class RecordedConfig(corpus.CorpusConfig):
    """How to make it; of these, only the form of the examples is in the folder's name."""

    manual_dir: str = ""  # A copy of the corpus; empty: download it.
    workers: int = 0  # Processes; 0 is one per core. Changes nothing in the data.
    speakers: tuple[str, ...] = ()  # Only these; empty: all there are.
    max_bad_share: float = 0.05  # Of the clips; more quarantined ones stop the build.

    def content(self) -> dict[str, Any]:
        """What, beside the folder's name, decides the examples; JSON types only."""
        return {"speakers": list(self.speakers)}


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is of a corpus."""

    clips: list[RawClip]
    unusable: dict[str, str]  # {id: why} of those that are no clips of the corpus.
    absent_speakers: list[str]  # Asked for and not there.
    splits: Mapping[str, Collection[str]]  # Speakers by split; each in one, or in none.


class RecordedBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Aligned faces with sound; unfit clips are quarantined and listed in quarantine.json.

    A corpus says where its clips are, and which speaker is in which split (`find`).
    """

    def __init__(self, *, config=None, file_format="array_record", **kwargs):
        config = config or RecordedConfig()
        super().__init__(config=config, file_format=file_format, **kwargs)

    @classmethod
    def make(cls, data_dir: str | os.PathLike, form: RecordedConfig) -> Self:
        """The builder, unless its folder holds the corpus with other content (UserError)."""
        result = cls(config=form, data_dir=data_dir)
        metadata = result.info.metadata or {}
        for name, asked in form.content().items():
            if (found := metadata.get(name)) != asked:
                found, asked = ("all" if value == [] else value for value in (found, asked))
                raise UserError(
                    f"{result.data_path} holds the corpus with {name}={found}, not "
                    f"{asked}: delete it (the cache beside it stays) or choose another "
                    "--data_dir."
                )
        return result

    @abc.abstractmethod
    def find(self, download_dir: epath.Path) -> Found:
        """The raw clips: those in form.manual_dir, else downloaded into `download_dir`."""

    def transcript_of(self, clip_id: str) -> str | None:
        """What a clip's name says is spoken; None where names say nothing."""
        return None

    @property
    def form(self) -> RecordedConfig:
        """The builder's config."""
        assert isinstance(self.builder_config, RecordedConfig)
        return self.builder_config

    @property
    def form_path(self) -> epath.Path:
        """Above the versions: cache, contact sheets and quarantine report."""
        return epath.Path(self.data_dir_root) / self.name / self.form.name

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=corpus.features(),
            metadata=tfds.core.MetadataDict(self.form.content()),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        found = self.find(epath.Path(dl_manager.download_dir) / self.name)
        if found.absent_speakers:
            print(f"Skipped, since not there: {', '.join(found.absent_speakers)}.")
        cache = pool.Cache(self.form_path / "cache", self.form)
        bad = found.unusable | pool.align_all(found.clips, cache, self.form.workers)
        good = [raw for raw in found.clips if raw.id not in bad]
        self._report(found, bad)
        self._draw_contact_sheets(good, cache)
        parts = {}
        for split, speakers in found.splits.items():
            parts[split] = [raw for raw in good if raw.speaker in speakers]
            if not parts[split]:
                print(f"No split {split!r}: there is no clip of {', '.join(speakers)}.")
        return {
            split: self._generate_examples(raws, cache) for split, raws in parts.items() if raws
        }

    def _generate_examples(
        self, raws: Sequence[RawClip], cache: pool.Cache
    ) -> Iterator[tuple[str, dict]]:
        for raw in raws:
            example = clips.example(raw, cache.load(raw), self.form)
            corpus.check(example, self.form)
            yield raw.id, example

    def _report(self, found: Found, bad: dict[str, str]) -> None:
        """Writes quarantine.json; stops the build where too much is in it."""
        count = len(found.clips) + len(found.unusable)
        report = {
            "clips": count,
            "quarantined": dict(sorted(bad.items())),
            "without_word_times": sorted(raw.id for raw in found.clips if not raw.words),
            "without_labels": sorted(r.id for r in found.clips if not (r.words or r.phones)),
            "absent_speakers": found.absent_speakers,
        }
        path = self.form_path / "quarantine.json"
        media.write_atomically(path, json.dumps(report, indent=2).encode())
        print(f"{len(bad)} of {count} clips are quarantined, with reasons in {path}.")
        share, limit = len(bad) / count, self.form.max_bad_share
        if share > limit or len(bad) == count:
            raise UserError(
                f"{share:.1%} of the clips are unfit, more than {limit:.1%}: see {path}, or allow "
                f"more with --config.data.max_bad_share={np.ceil(100 * share) / 100:.2f}."
            )

    def _draw_contact_sheets(self, raws: Sequence[RawClip], cache: pool.Cache) -> None:
        """A picture per speaker: a clip a row, from its first frame to its last."""
        for speaker in dict.fromkeys(raw.speaker for raw in raws):
            own = [raw for raw in raws if raw.speaker == speaker]
            rows = []
            for raw in _spread(own, _SHEET_CLIPS):
                jpegs = _spread(cache.load(raw).jpegs, _SHEET_FRAMES)
                jpegs += jpegs[-1:] * (_SHEET_FRAMES - len(jpegs))  # Of a very short clip.
                rows.append(np.hstack([media.decode_jpeg(jpeg) for jpeg in jpegs]))
            path = self.form_path / "contact_sheets" / f"{speaker}.png"
            media.write_atomically(path, media.encode_png(np.vstack(rows)))


def _spread(items: Sequence, count: int) -> list:
    """At most `count` of them, from the first to the last."""
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, min(count, len(items)))]
