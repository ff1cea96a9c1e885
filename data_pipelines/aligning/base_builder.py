"""Base class of the recorded corpora: cached alignment, quarantine, contact sheets, shards."""

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
from data_pipelines.aligning.cache import Cache
from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.common.progress import Progress
from data_pipelines.media import images
from data_pipelines.media.sound_track import MENTIONED


@dataclasses.dataclass(kw_only=True)
class RecordedConfig(contract.CorpusConfig):
    """Format of the examples, which alone is in the folder's name, and how to make them.

    Attributes:
      manual_dir: A copy of the corpus; empty: download it.
      speakers: Only these; empty: all.
      max_bad_share: Share of quarantined clips, 0 to 1, above which the build stops.
    """

    manual_dir: str = ""
    speakers: tuple[str, ...] = ()
    max_bad_share: float = 0.05

    @classmethod
    def options(cls) -> list[str]:
        """Names the fields that only this corpus has, which `config.data.options` sets.

        Returns:
          The fields that RecordedConfig lacks, in order.
        """
        shared = {field.name for field in dataclasses.fields(RecordedConfig)}
        return [name for name in super().options() if name not in shared]

    def content(self) -> dict[str, Any]:
        """Collects the options that decide, beside the folder's name, what the examples are.

        Returns:
          Option names and values, the speakers among them.
        """
        return {"speakers": list(self.speakers)} | super().content()


@dataclasses.dataclass(frozen=True)
class CorpusContents:
    """The clips and splits of a corpus.

    Attributes:
      clips: The raw clips.
      unusable: {id: reason} of files that cannot be clips of the corpus.
      absent_speakers: Requested speakers that the corpus lacks.
      splits: Speakers (or clip ids) by split; each is in one split or in none.
      splits_by: Whether `splits` holds speakers or clip ids.
    """

    clips: list[align_clip.RawClip]
    unusable: dict[str, str]
    absent_speakers: list[str]
    splits: Mapping[str, Collection[str]]
    splits_by: Literal["speaker", "id"] = "speaker"


class RecordedBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Builds aligned faces with sound; unfit clips are quarantined, listed in quarantine.json.

    A corpus sets CONFIG, its config class, and implements `find_clips`: where its clips are, and
    which speaker is in which split. Which clip is in which shard is decided here: TFDS's own shuffling needs TensorFlow beyond 1 GB
    a split, and places shard boundaries differently under Beam.

    Args:
      config: Config of the class CONFIG; None: its defaults.
      file_format: Format of the shards, as TFDS names it.
      **kwargs: Arguments of TFDS's DatasetBuilder.

    Attributes:
      CONFIG: The corpus's config class.
    """

    CONFIG: ClassVar[type[RecordedConfig]]  # Of the corpus.

    def __init__(
        self,
        *,
        config: RecordedConfig | None = None,
        file_format: str = "array_record",
        **kwargs: Any,
    ):
        config = config or self.CONFIG()
        super().__init__(config=config, file_format=file_format, **kwargs)
        self._beam: tuple[str, Any] | None = None  # Runner and options, if Beam does the work.

    @abc.abstractmethod
    def find_clips(self, download_dir: epath.Path) -> CorpusContents:
        """Lists the raw clips, from config.manual_dir or else downloaded.

        Args:
          download_dir: Folder to download into.

        Returns:
          The clips and splits.
        """

    def transcript_of(self, clip_id: str) -> str | None:
        """Derives a transcript from a clip's name.

        Args:
          clip_id: The clip's id.

        Returns:
          The transcript; None where names do not tell it.
        """
        return None

    @property
    def config(self) -> RecordedConfig:
        """The builder's config, which TFDS does not type."""
        assert isinstance(self.builder_config, RecordedConfig)
        return self.builder_config

    @property
    def config_dir(self) -> epath.Path:
        """The folder above the versions: cache, contact sheets and quarantine report."""
        return epath.Path(self.data_dir_root) / self.name / self.config.name

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=contract.features(), metadata=tfds.core.MetadataDict(self.config.content())
        )

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        """As in TFDS; a beam_runner in `download_config` is used for aligning too."""
        if download_config and download_config.beam_runner:
            self._beam = download_config.beam_runner, download_config.beam_options
        super()._download_and_prepare(dl_manager, download_config)
        for leftover in epath.Path(self.data_dir).glob("*.shard_infos.json"):
            leftover.unlink()  # TFDS's own, under Beam.

    def _shard_iterators_per_split(self, dl_manager: tfds.download.DownloadManager):
        contents = self.find_clips(epath.Path(dl_manager.download_dir) / self.name)
        _check_ids(contents)
        if contents.absent_speakers:
            print(f"Skipped speakers that were not found: {', '.join(contents.absent_speakers)}.")
        cache = Cache(self.config_dir / "cache", self.config)
        bad = contents.unusable | self._align(contents.clips, cache)
        good = [clip for clip in contents.clips if clip.id not in bad]
        summaries = {clip.id: cache.summary(clip) for clip in good}
        self._report(contents, bad, {name: s.filled for name, s in summaries.items()})
        self._draw_contact_sheets(good, cache)
        duplicates = worker_pool.duplicate_recordings(summaries)
        clips_of = shards.assign_splits(good, contents.splits, duplicates, by=contents.splits_by)
        for split, names in contents.splits.items():
            if split not in clips_of:
                speakers = ", ".join(sorted(names)) or "anyone"
                print(f"No split {split!r}: there is no clip of {speakers}.")
        longest = {
            split: max(summaries[clip.id].frames for clip in clips)
            for split, clips in clips_of.items()
        }
        cast(dict, self.info.metadata)["longest"] = longest
        sizes = {clip_id: summary.size for clip_id, summary in summaries.items()}
        self._check_free_space(sum(sizes[c.id] for clips in clips_of.values() for c in clips))
        progress = None  # Beam's workers report none.
        if not self._beam:
            progress = Progress("packed", sum(map(len, clips_of.values())), "clip")
            progress.note = f"{len(bad)} quarantined"
        return {
            split: [
                functools.partial(_examples, shard, cache, progress)
                for shard in shards.plan_shards(clips, sizes)
            ]
            # TFDS runs Beam's pipeline anew for each split, with all splits before it.
            for split, clips in sorted(clips_of.items(), key=lambda item: len(item[1]))
        }

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return shards.ShardWriter()

    def _align(self, clips: Sequence[align_clip.RawClip], cache: Cache) -> dict[str, str]:
        """Returns {id: reason} of the quarantined clips; the others are in the cache."""
        if self._beam:
            from data_pipelines.aligning import beam  # An extra, and slow to import.

            beam.align(clips, cache, *self._beam)
        return worker_pool.align_all(clips, cache, self.config.workers)

    def _check_free_space(self, size: int) -> None:
        free = shutil.disk_usage(self.config_dir).free
        if free < size:
            raise UserError(
                f"The shards need {size / 1e9:.1f} GB, and {self.config_dir} has {free / 1e9:.1f} "
                "GB free: make room and run the same command again; aligned clips are kept."
            )

    def _report(
        self, contents: CorpusContents, bad: dict[str, str], filled: dict[str, float]
    ) -> None:
        # Writes quarantine.json; stops the build where too many clips are in it. `filled`: seconds
        # of sound that each of the other clips lacks.
        clips, count = contents.clips, len(contents.clips) + len(contents.unusable)
        filled = {name: round(s, 2) for name, s in sorted(filled.items()) if s >= MENTIONED}
        report = {
            "clips": count,
            "quarantined": dict(sorted(bad.items())),
            "without_word_times": sorted(clip.id for clip in clips if not clip.words),
            "without_labels": sorted(c.id for c in clips if not (c.words or c.phones)),
            "absent_speakers": contents.absent_speakers,
            "seconds_of_sound_missing": filled,
        }
        path = self.config_dir / "quarantine.json"
        files.write_atomically(path, json.dumps(report, indent=2).encode())
        print(f"{len(bad)} of {count} clips are quarantined, with reasons in {path}.")
        if filled:
            print(
                f"Of {len(filled)} of the others {sum(filled.values()):.1f} s of sound were missing,"
                f" which are silent now: see {path}."
            )
        share, limit = len(bad) / count, self.config.max_bad_share
        if share > limit or len(bad) == count:
            raise UserError(
                f"{share:.1%} of the clips are unfit, more than {limit:.1%}: see {path}, or allow "
                f"more with --config.data.max_bad_share={np.ceil(100 * share) / 100:.2f}."
            )

    def _draw_contact_sheets(self, clips: Sequence[align_clip.RawClip], cache: Cache) -> None:
        """One PNG per speaker."""
        by_speaker = collections.defaultdict(list)
        for clip in clips:
            by_speaker[clip.speaker].append(clip)
        for speaker, own in by_speaker.items():
            rows = contact_sheet.evenly_spaced(own, contact_sheet.ROWS)
            sheet = contact_sheet.contact_sheet([cache.load(clip).jpegs for clip in rows])
            path = self.config_dir / "contact_sheets" / f"{speaker}.png"
            files.write_atomically(path, images.encode_png(sheet))


def _check_ids(contents: CorpusContents) -> None:
    ids = collections.Counter([*(clip.id for clip in contents.clips), *contents.unusable])
    repeated = sorted(clip_id for clip_id, count in ids.items() if count > 1)
    if repeated:
        paths = [str(clip.path) for clip in contents.clips if clip.id == repeated[0]]
        raise UserError(
            f"{len(repeated)} names stand for several clips each, {repeated[0]} for "
            f"{', '.join(paths)}: give the files other names, or remove one of them."
        )


def _examples(
    clips: Sequence[align_clip.RawClip], cache: Cache, progress: Progress | None
) -> Iterator[tuple[str, dict]]:
    """Yields the examples of a shard; runs here or in one of Beam's workers."""
    for clip in clips:
        example = align_clip.make_example(clip, cache.load(clip), cache.config)
        contract.check_example(example, cache.config)
        yield clip.id, example
        if progress:
            progress.update()
