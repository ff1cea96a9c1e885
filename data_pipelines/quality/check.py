"""Quality control of prepared shards: measures every clip, reports findings as a page and JSON."""

import collections
import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from data_pipelines import prepare
from data_pipelines.aligning import base_builder, duplicates
from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.common.processes import WorkerPool
from data_pipelines.common.progress import track
from data_pipelines.loading import dataset
from data_pipelines.quality import clip_checks
from data_pipelines.quality.clip_checks import MEASURES, ClipReport
from data_pipelines.quality.page import OpenSplit, render_page

_MAX_LISTED = 1000  # Clips of one finding in check.json, worst first; clips.jsonl has every clip.
_MIN_SPEAKER_CLIPS = 5  # For a speaker's median to be meaningful.
_MAX_WARMTH = 25.0  # Levels of 255, from the speaker's median.
_BINS = 40  # Of a histogram.

ERROR, WARNING = "error", "warning"
FAULTS = {  # Severity and title of the findings that are not measures beyond their limits.
    "unreadable": (ERROR, "Records that cannot be read"),
    "frames": (ERROR, "Frames that cannot be decoded, or are all black"),
    "lengths": (ERROR, "Frames, landmarks and sound of different lengths"),
    "landmarks": (ERROR, "Landmarks that are not finite"),
    "id_twice": (ERROR, "Duplicate ids"),
    "speaker_in_two_splits": (ERROR, "Speakers in two splits"),
    "recording_in_two_splits": (ERROR, "The same recording in two splits"),
    "transcript": (ERROR, "A transcript that the clip's name contradicts"),
    "recording_twice": (WARNING, "The same recording twice in a split"),
    "words": (WARNING, "Words that differ from the transcript"),
    "times": (WARNING, "Times outside the clip, or out of order"),
    "speaker_offset": (WARNING, "Speakers with early or late audio"),
    "colour": (WARNING, "Colours that differ from the speaker's other clips"),
}


@dataclasses.dataclass(frozen=True)
class ClipLocation:
    """One clip of the corpus.

    Attributes:
      split: The split that it is in.
      index: Index of the clip in the split.
      id: Id of the clip.
      speaker: Speaker of the clip; empty where the record cannot be read.
    """

    split: str
    index: int
    id: str
    speaker: str


Faults = dict[str, list[tuple[ClipLocation, str]]]  # Clips and texts by the kind of the fault.


@dataclasses.dataclass
class CheckedCorpus:
    """The measures and faults of all N clips.

    Attributes:
      locations: Location of each clip.
      values: float32 [N, measures].
      faults: Clips and texts by the kind of the fault.
      fingerprints: Fingerprint of each clip; None for one with damaged arrays.
    """

    locations: list[ClipLocation]
    values: np.ndarray
    faults: Faults
    fingerprints: list[duplicates.Fingerprint | None]

    def column(self, name: str) -> np.ndarray:
        """Returns one measure of every clip.

        Args:
          name: A key of MEASURES.

        Returns:
          float32 [N].
        """
        return self.values[:, list(MEASURES).index(name)]

    def rows_by(self, field: str) -> dict[str, list[int]]:
        """Groups the clips by a field of their location.

        Args:
          field: Its name; clips in which it is empty are left out.

        Returns:
          The rows of `values` by the field's value.
        """
        rows = collections.defaultdict(list)
        for row, location in enumerate(self.locations):
            if value := getattr(location, field):
                rows[value].append(row)
        return rows


def check_shards(
    data: Mapping[str, Any], manual_dir: str | os.PathLike | None, data_dir: str | os.PathLike
) -> dict[str, Any]:
    """Checks the shards of config.data, which `prepare` has made.

    Writes <data_dir>/<corpus>/<form>/check/: index.html for people, check.json (summaries by
    corpus, split and speaker; findings with severity and clips) and clips.jsonl (every clip).

    Args:
      data: The config's section `data`.
      manual_dir: The manual_dir that was passed to `prepare`; None: unknown.
      data_dir: Folder of the shards.

    Returns:
      The content of check.json.

    Raises:
      UserError: There are no such shards, or nothing can be written beside them.
    """
    start = time.monotonic()
    builder = prepare.prepared_builder(data, manual_dir, data_dir)
    folder = builder.data_path.parent / "check"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UserError(
            f"The check cannot write its page to {folder} ({e.strerror}): copy the shards to a "
            "folder that you can write to, and give it as --data_dir."
        ) from e
    form = {n: data[n] for n in ("corpus", "height", "width", "audio_rate", "fps")}
    options = tuple(data["options"].items())
    # All of train: train_minutes is for training alone.
    whole = {**form, "speakers": tuple(data["speakers"]), "train_minutes": 0.0, "options": options}
    items = tuple(whole.items())
    open_split = functools.partial(_open, items, os.fspath(data_dir))
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    results = _inspected(open_split, counts, data["prepare_workers"])
    recorded = isinstance(builder, base_builder.RecordedBuilder)
    transcript_of = builder.transcript_of if recorded else lambda clip_id: None
    clips = track(results, "checked", "clip", sum(counts.values()))
    checked = _gather(clips, folder, transcript_of)
    within_speaker = bool((builder.info.metadata or {}).get("within_speaker"))
    report = {
        "corpus": data["corpus"],
        "form": builder.data_path.parent.name,
        "version": str(builder.version),
        **_summaries(checked),
        "quarantine": _quarantine(builder.data_path.parent / "quarantine.json"),
        "findings": _findings(checked, within_speaker),
    }
    for severity in (ERROR, WARNING):
        report[f"{severity}s"] = sum(f["severity"] == severity for f in report["findings"])
    text = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)
    files.write_atomically(folder / "check.json", f"{text}\n".encode())
    page = render_page(report, checked.locations, open_split)
    files.write_atomically(folder / "index.html", page.encode())
    for finding in report["findings"]:
        first = finding["clips"][0]
        print(
            f"{finding['severity']}: {finding['title']}: {finding['count']}, e.g. {first['id']}"
            f" ({first['text']})"
        )
    print(
        f"{data['corpus']} checked in {time.monotonic() - start:.0f} s: {len(checked.locations)} clips,"
        f" kinds of errors: {report['errors']}, of warnings: {report['warnings']}:"
        f" {folder / 'index.html'}"
    )
    return report


@functools.lru_cache(maxsize=8)
def _open(items: tuple[tuple[str, Any], ...], data_dir: str, split: str) -> dataset.ClipDataset:
    data = dict(items)
    return dataset.open_dataset(data | {"options": dict(data["options"])}, split, data_dir)


def _inspected(
    open_split: OpenSplit, counts: Mapping[str, int], workers: int
) -> Iterator[tuple[ClipLocation, ClipReport]]:
    """Yields the report of every clip of every split, in order, from several processes."""
    items = [(split, index) for split, count in counts.items() for index in range(count)]
    inspect = functools.partial(_inspect, open_split=open_split)
    with WorkerPool(workers, len(items)) as pool:
        for item, result in zip(items, pool.map_with_exceptions(inspect, items), strict=True):
            # An exception: the clip killed the process that read it.
            yield _unreadable(*item, result) if isinstance(result, Exception) else result


def _inspect(item: tuple[str, int], open_split: OpenSplit) -> tuple[ClipLocation, ClipReport]:
    split, index = item
    try:
        clip = clip_checks.inspect_clip(open_split(split)[index])
    except Exception as e:  # Damaged records raise errors of any kind; the others are checked.
        return _unreadable(split, index, e)
    return ClipLocation(split, index, clip.id, clip.speaker), clip


def _unreadable(split: str, index: int, error: Exception) -> tuple[ClipLocation, ClipReport]:
    fault = ("unreadable", f"{type(error).__name__}: {error}")
    clip = ClipReport(f"{split}[{index}]", "", "", {}, [fault], None)
    return ClipLocation(split, index, clip.id, clip.speaker), clip


def _gather(
    results: Iterable[tuple[ClipLocation, ClipReport]],
    folder: epath.Path,
    transcript_of: Callable[[str], str | None],
) -> CheckedCorpus:
    """Returns all clips together; each becomes a line of clips.jsonl as it comes."""
    checked = CheckedCorpus(
        [], np.zeros((0, len(MEASURES)), np.float32), collections.defaultdict(list), []
    )
    rows, ids = [], set()
    part = folder / ".clips.jsonl.part"
    with part.open("w") as lines:
        for location, clip in results:
            faults = list(clip.faults)
            if location.id in ids:
                faults.append(("id_twice", "another clip has this id"))
            by_name = transcript_of(location.id) if clip.speaker else None
            words_of = clip_checks.words_of
            if by_name is not None and words_of(by_name) != words_of(clip.transcript):
                faults.append(("transcript", f"{clip.transcript!r}, but {by_name!r} by its name"))
            ids.add(location.id)
            checked.locations.append(location)
            checked.fingerprints.append(clip.fingerprint)
            rows.append(np.array([clip.values.get(m, np.nan) for m in MEASURES], np.float32))
            for kind, text in faults:
                checked.faults[kind].append((location, text))
            values = {m: round(v, 4) for m, v in clip.values.items() if np.isfinite(v)}
            line = dataclasses.asdict(location) | {"values": values, "faults": faults}
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    part.replace(folder / "clips.jsonl")
    checked.values = np.stack(rows)
    return checked


def _summaries(checked: CheckedCorpus) -> dict[str, Any]:
    """Returns medians and percentiles of the corpus, its splits and speakers, and histograms."""
    speakers = {}
    for speaker, rows in checked.rows_by("speaker").items():
        splits = sorted({checked.locations[row].split for row in rows})
        speakers[speaker] = {"splits": splits} | _summary(checked, rows)
    return {
        "measures": {
            name: {"label": m.label, "unit": m.unit, "what": m.description, "limit": m.limit}
            | {"histogram": _histogram(checked.column(name), m)}
            for name, m in MEASURES.items()
        },
        "all": _summary(checked, range(len(checked.locations))),
        "splits": {
            split: {"speakers": len({checked.locations[row].speaker for row in rows} - {""})}
            | _summary(checked, rows)
            for split, rows in checked.rows_by("split").items()
        },
        "speakers": speakers,
    }


def _summary(checked: CheckedCorpus, rows: Sequence[int]) -> dict[str, Any]:
    """Returns count and seconds of some clips; median, spread and percentiles of their measures."""
    values = checked.values[list(rows)]
    totals = {"clips": len(rows), "seconds": round(float(np.nansum(values[:, 0])), 2)}
    summary = {}
    for name, column in zip(MEASURES, values.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known):
            low, median, high = np.percentile(known, [5, 50, 95])
            spread = np.median(np.abs(known - median))  # Both robust against outliers.
            numbers = {"median": median, "spread": spread, "p5": low, "p95": high}
            summary[name] = {key: round(float(number), 3) for key, number in numbers.items()}
            summary[name]["clips"] = len(known)
    return totals | {"measures": summary}


def _histogram(values: np.ndarray, measure: clip_checks.Measure) -> dict[str, Any] | None:
    """Returns counts over even bins of all but 0.1 % of the values, and the limits near them."""
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return None
    low, high = np.percentile(known, [0.1, 99.9])
    span = max(high - low, 1e-3 * max(abs(high), abs(low)), 1e-3)
    if low - span < measure.low:
        low = min(low, measure.low)
    if measure.high < high + span:
        high = max(high, measure.high)
    low, high = (low, high) if high - low > 1e-6 else (low - span / 2, high + span / 2)
    counts, _ = np.histogram(np.clip(known, low, high), _BINS, (low, high))
    limits = [limit for limit in (measure.low, measure.high) if low <= limit <= high]
    return {"low": low, "high": high, "counts": counts.tolist(), "limits": limits}


def _findings(checked: CheckedCorpus, within_speaker: bool) -> list[dict[str, Any]]:
    """Returns errors, then warnings; the worst clips of each first."""
    faults = checked.faults | _duplicate_faults(checked) | _speaker_faults(checked, within_speaker)
    findings = []
    for kind, (severity, title) in FAULTS.items():
        if entries := faults.get(kind):
            findings.append(_finding(kind, severity, title, "", entries))
    for name, measure in MEASURES.items():
        column = checked.column(name)
        excess = measure.excess(column)
        if name == "offset":
            agreement = checked.column("agreement")
            excess = np.where(agreement >= clip_checks.WARNING_AGREEMENT, excess, 0)
        worst = np.argsort(-excess, kind="stable")[: np.count_nonzero(excess > 0)]
        if len(worst):
            texts = [f"{value:.3g} {measure.unit}".strip() for value in column[worst]]
            entries = list(zip([checked.locations[row] for row in worst], texts, strict=True))
            findings.append(_finding(name, WARNING, measure.label, measure.limit, entries))
    return findings


def _finding(
    kind: str, severity: str, title: str, limit: str, entries: list[tuple[ClipLocation, str]]
) -> dict[str, Any]:
    finding = {"kind": kind, "severity": severity, "title": title, "limit": limit}
    clips = [dataclasses.asdict(clip) | {"text": text} for clip, text in entries[:_MAX_LISTED]]
    return finding | {"count": len(entries), "clips": clips}


def _duplicate_faults(checked: CheckedCorpus) -> Faults:
    """Returns the clips of the same recording."""
    known = [(p, f) for p, f in zip(checked.locations, checked.fingerprints, strict=True) if f]
    faults = collections.defaultdict(list)
    for i, j, alike in duplicates.find_duplicates([fingerprint for _, fingerprint in known]):
        (a, _), (b, _) = known[i], known[j]
        kind = "recording_twice" if a.split == b.split else "recording_in_two_splits"
        for clip, other in ((a, b), (b, a)):
            where = f" in {other.split}" if a.split != b.split else ""
            faults[kind].append((clip, f"and {other.id}{where}: {alike:.0%} alike"))
    return faults


def _speaker_faults(checked: CheckedCorpus, within_speaker: bool) -> Faults:
    """Returns speakers in two splits or with early or late audio, and clips of other colours."""
    faults = collections.defaultdict(list)
    for speaker, own in checked.rows_by("speaker").items():
        first = checked.locations[own[0]]
        splits = collections.Counter(checked.locations[row].split for row in own)
        if len(splits) > 1 and not within_speaker:
            text = ", ".join(f"{count} clips in {split}" for split, count in splits.items())
            faults["speaker_in_two_splits"].append((first, f"{speaker}: {text}"))
        offsets = checked.column("offset")[own]
        offsets = offsets[np.isfinite(offsets)]
        if len(offsets) >= _MIN_SPEAKER_CLIPS and abs(np.median(offsets)) > clip_checks.MAX_OFFSET:
            median = np.median(offsets)
            spread = np.median(np.abs(offsets - median))
            text = f"{speaker}: {median:+g} frames, spread {spread:g}, {len(offsets)} clips"
            faults["speaker_offset"].append((first, text))
        warmth = checked.column("warmth")[own]
        off = warmth - np.nanmedian(warmth) if np.isfinite(warmth).any() else np.zeros(len(own))
        if len(own) >= _MIN_SPEAKER_CLIPS:
            for at in np.argsort(-np.abs(off))[: np.count_nonzero(np.abs(off) > _MAX_WARMTH)]:
                text = f"{off[at]:+.0f} levels of red over blue"
                faults["colour"].append((checked.locations[own[at]], text))
    return faults


def _quarantine(path: epath.Path) -> dict[str, Any] | None:
    """Returns how many clips the build left out, and why; None where it wrote no report."""
    if not path.exists():
        return None
    report = json.loads(path.read_text())
    return {"clips": report["clips"], "quarantined": report["quarantined"]}
