"""What the builders of recorded corpora share: cached alignment, quarantine, contact sheets."""

import abc
import collections
import dataclasses
import functools
import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import contract
from data_pipelines.aligning import align_clip, contact_sheet, shards, worker_pool
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.aligning.cache import Cache
from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.common.progress import Progress
from data_pipelines.media import images


@dataclasses.dataclass(kw_only=True)
class RecordedConfig(contract.CorpusConfig):
    """How to make it; of these, only the form of the examples is in the folder's name."""

    manual_dir: str = ""  # A copy of the corpus; empty: download it.
    speakers: tuple[str, ...] = ()  # Only these; empty: all there are.
    max_bad_share: float = 0.05  # Of the clips; more quarantined ones stop the build.

    def content(self) -> dict[str, Any]:
        """What, beside the folder's name, decides the examples; JSON types only."""
        return {"speakers": list(self.speakers)} | super().content()


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is of a corpus."""

    clips: list[RawClip]
    unusable: dict[str, str]  # {id: why} of those that are no clips of the corpus.
    absent_speakers: list[str]  # Asked for and not there.
    splits: Mapping[str, Collection[str]]  # Speakers by split; each in one, or in none.
    splits_by: Literal["speaker", "id"] = "speaker"  # "id": of clips, where `splits` has those.


class RecordedBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Aligned faces with sound; unfit clips are quarantined and listed in quarantine.json.

    A corpus says where its clips are, and which speaker is in which split (`find`). Which clip is
    in which shard is decided here: TFDS's own shuffling needs TensorFlow beyond 1 GB a split, and
    cuts the shards elsewhere under Beam.
    """

    CONFIG: ClassVar[type[RecordedConfig]]  # The corpus's own.

    def __init__(self, *, config=None, file_format="array_record", **kwargs):
        config = config or self.CONFIG()
        super().__init__(config=config, file_format=file_format, **kwargs)
        self._beam: Any = None  # Runner and options, where Apache Beam does the work.

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
            features=contract.features(),
            metadata=tfds.core.MetadataDict(self.form.content()),
        )

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        """As TFDS has it; a beam_runner in `download_config` is for aligning too."""
        if download_config and download_config.beam_runner:
            self._beam = download_config.beam_runner, download_config.beam_options
        super()._download_and_prepare(dl_manager, download_config)
        for left in epath.Path(self.data_dir).glob("*.shard_infos.json"):
            left.unlink()  # TFDS's own, under Beam.

    def _shard_iterators_per_split(self, dl_manager: tfds.download.DownloadManager):
        found = self.find(epath.Path(dl_manager.download_dir) / self.name)
        _check_ids(found)
        if found.absent_speakers:
            print(f"Skipped, since not there: {', '.join(found.absent_speakers)}.")
        cache = Cache(self.form_path / "cache", self.form)
        bad = found.unusable | self._align(found.clips, cache)
        good = [raw for raw in found.clips if raw.id not in bad]
        self._report(found, bad)
        self._draw_contact_sheets(good, cache)
        facts = {raw.id: cache.facts(raw) for raw in good}
        same = worker_pool.same_recordings(facts)
        parts = shards.assign(good, found.splits, same, by=found.splits_by)
        for split, names in found.splits.items():
            if split not in parts:
                said = ", ".join(sorted(names)) or "anyone"
                print(f"No split {split!r}: there is no clip of {said}.")
        longest = {
            split: max(facts[raw.id].frames for raw in raws) for split, raws in parts.items()
        }
        cast(dict, self.info.metadata)["longest"] = longest
        sizes = {name: fact.size for name, fact in facts.items()}
        self._check_room(sum(sizes[raw.id] for raws in parts.values() for raw in raws))
        progress = None  # Of Beam's workers, none is told.
        if not self._beam:
            progress = Progress("packed", sum(map(len, parts.values())), bad)
        return {
            split: [
                functools.partial(_examples, shard, cache, progress)
                for shard in shards.plan(raws, sizes)
            ]
            # TFDS runs Beam's pipeline anew for each split, with all splits before it.
            for split, raws in sorted(parts.items(), key=lambda part: len(part[1]))
        }

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return shards.Writer()

    def _align(self, raws: Sequence[RawClip], cache: Cache) -> dict[str, str]:
        """-> {id: reason} of the clips that are quarantined; the others are in the cache."""
        if self._beam:
            from data_pipelines.aligning import beam  # An extra, and slow to import.

            beam.align(raws, cache, *self._beam)
        return worker_pool.align_all(raws, cache, self.form.workers)

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self.form_path).free
        if free < size:
            raise UserError(
                f"The shards need {size / 1e9:.1f} GB, and {self.form_path} has {free / 1e9:.1f} "
                "GB free: make room and run the same command again; what is aligned is kept."
            )

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
        files.write_atomically(path, json.dumps(report, indent=2).encode())
        print(f"{len(bad)} of {count} clips are quarantined, with reasons in {path}.")
        share, limit = len(bad) / count, self.form.max_bad_share
        if share > limit or len(bad) == count:
            raise UserError(
                f"{share:.1%} of the clips are unfit, more than {limit:.1%}: see {path}, or allow "
                f"more with --config.data.max_bad_share={np.ceil(100 * share) / 100:.2f}."
            )

    def _draw_contact_sheets(self, raws: Sequence[RawClip], cache: Cache) -> None:
        """A picture per speaker: a clip a row, from its first frame to its last."""
        by_speaker = collections.defaultdict(list)
        for raw in raws:
            by_speaker[raw.speaker].append(raw)
        for speaker, own in by_speaker.items():
            shown = contact_sheet.spread(own, contact_sheet.CLIPS)
            sheet = contact_sheet.contact_sheet([cache.load(raw).jpegs for raw in shown])
            path = self.form_path / "contact_sheets" / f"{speaker}.png"
            files.write_atomically(path, images.encode_png(sheet))


def _check_ids(found: Found) -> None:
    ids = collections.Counter([*(raw.id for raw in found.clips), *found.unusable])
    twice = sorted(name for name, count in ids.items() if count > 1)
    if twice:
        paths = [str(raw.path) for raw in found.clips if raw.id == twice[0]]
        raise UserError(
            f"{len(twice)} names stand for several clips each, {twice[0]} for {', '.join(paths)}: "
            "give the files other names, or take one of them away."
        )


def _examples(
    raws: Sequence[RawClip], cache: Cache, progress: Progress | None
) -> Iterator[tuple[str, dict]]:
    """What is in a shard; here or in one of Beam's workers."""
    for raw in raws:
        example = align_clip.example(raw, cache.load(raw), cache.form)
        contract.check(example, cache.form)
        yield raw.id, example
        if progress:
            progress.step()
