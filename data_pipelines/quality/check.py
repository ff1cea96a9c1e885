"""Quality control of prepared shards: every clip measured, a page and a JSON file of what is odd."""

import collections
import dataclasses
import functools
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from data_pipelines.quality.clip_checks import MEASURES, Inspected
from data_pipelines.quality.page import html

_LISTED = 1000  # Clips of one finding in check.json, worst first; clips.jsonl has every clip.
_SPEAKER_CLIPS = 5  # For the median of a speaker to count.
_MAX_WARMTH = 25.0  # Levels of 255, from the speaker's median.
_BINS = 40  # Of a histogram.

ERROR, WARNING = "error", "warning"
FAULTS = {  # What is wrong with a clip, beside numbers beyond their limits.
    "unreadable": (ERROR, "Records that cannot be read"),
    "frames": (ERROR, "Frames that cannot be decoded, or are all black"),
    "lengths": (ERROR, "Frames, landmarks and sound of different lengths"),
    "landmarks": (ERROR, "Landmarks that are not finite"),
    "id_twice": (ERROR, "The same id twice"),
    "speaker_in_two_splits": (ERROR, "Speakers in two splits"),
    "recording_in_two_splits": (ERROR, "The same recording in two splits"),
    "transcript": (ERROR, "A transcript that the clip's name contradicts"),
    "recording_twice": (WARNING, "The same recording twice in a split"),
    "words": (WARNING, "Words that are not those of the transcript"),
    "times": (WARNING, "Times outside the clip, or out of order"),
    "speaker_offset": (WARNING, "Speakers whose sound is early or late"),
    "colour": (WARNING, "Colours unlike those of the speaker's other clips"),
}


@dataclasses.dataclass(frozen=True)
class ClipLocation:
    """Which clip of the corpus."""

    split: str
    index: int
    id: str
    speaker: str


@dataclasses.dataclass
class Checked:
    """The corpus's clips, side by side."""

    places: list[ClipLocation]
    values: np.ndarray  # float32 [N, measures].
    # Kind -> (clip, what it is), of the faults.
    faults: dict[str, list[tuple[ClipLocation, str]]]
    fingerprints: list[duplicates.Fingerprint | None]

    def column(self, name: str) -> np.ndarray:
        """A measure of every clip, [N]."""
        return self.values[:, list(MEASURES).index(name)]


def check_shards(
    data: Mapping[str, Any], manual_dir: str | os.PathLike | None, data_dir: str | os.PathLike
) -> dict[str, Any]:
    """Checks the shards of config.data, which `prepare` has made; returns what check.json holds.

    Writes <data_dir>/<corpus>/<form>/check/: index.html for people, check.json (summaries by
    corpus, split and speaker; findings with severity and clips) and clips.jsonl (every clip).

    Raises:
      UserError: there are no such shards, or nothing can be written beside them.
    """
    begun = time.monotonic()
    builder = prepare.prepared_builder(data, manual_dir, data_dir)
    folder = builder.data_path.parent / "check"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UserError(
            f"The check cannot write its page to {folder} ({e.strerror}): copy the shards to where "
            "you can write, and give that --data_dir."
        ) from e
    form = {n: data[n] for n in ("corpus", "height", "width", "audio_rate", "fps")}
    form = tuple({**form, "speakers": tuple(data["speakers"])}.items())
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    results = _inspected(form, os.fspath(data_dir), counts, data["prepare_workers"])
    says = builder.transcript_of if isinstance(builder, base_builder.RecordedBuilder) else None
    checked = _gather(track(results, "checked", "clip", sum(counts.values())), folder, says)
    together = bool((builder.info.metadata or {}).get("within_speaker"))
    report = {
        "corpus": data["corpus"],
        "form": builder.data_path.parent.name,
        "version": str(builder.version),
        **_summaries(checked),
        "quarantine": _quarantine(builder.data_path.parent / "quarantine.json"),
        "findings": _findings(checked, together),
    }
    for severity in (ERROR, WARNING):
        report[f"{severity}s"] = sum(f["severity"] == severity for f in report["findings"])
    text = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)
    files.write_atomically(folder / "check.json", f"{text}\n".encode())
    page = html(report, checked.places, lambda split: _open(form, split, os.fspath(data_dir)))
    files.write_atomically(folder / "index.html", page.encode())
    for finding in report["findings"]:
        first = finding["clips"][0]
        print(
            f"{finding['severity']}: {finding['title']}: {finding['count']}, e.g. {first['id']}"
            f" ({first['text']})"
        )
    print(
        f"{data['corpus']} checked in {time.monotonic() - begun:.0f} s: {len(checked.places)} clips,"
        f" kinds of errors: {report['errors']}, of warnings: {report['warnings']}:"
        f" {folder / 'index.html'}"
    )
    return report


@functools.lru_cache(maxsize=8)
def _open(form: tuple, split: str, data_dir: str) -> dataset.ClipDataset:
    data = {**dict(form), "options": {}}  # Which the builder has compared.
    return dataset.open_dataset(data, split, data_dir)


def _inspected(
    form: tuple, data_dir: str, counts: Mapping[str, int], workers: int
) -> Iterator[tuple[ClipLocation, Inspected]]:
    """Every clip of every split, in order, from several processes."""
    items = [(split, index) for split, count in counts.items() for index in range(count)]
    inspect = functools.partial(_inspect, form=form, data_dir=data_dir)
    with WorkerPool(workers, len(items)) as pool:
        for item, found in zip(items, pool.map_with_exceptions(inspect, items), strict=True):
            # An exception: the clip killed the process that read it.
            yield _unreadable(*item, found) if isinstance(found, Exception) else found


def _inspect(item: tuple[str, int], form: tuple, data_dir: str) -> tuple[ClipLocation, Inspected]:
    split, index = item
    try:
        found = clip_checks.inspect(_open(form, split, data_dir)[index])
    except Exception as e:  # A damaged record, of any kind; it is named, and the others go on.
        return _unreadable(split, index, e)
    return ClipLocation(split, index, found.id, found.speaker), found


def _unreadable(split: str, index: int, error: Exception) -> tuple[ClipLocation, Inspected]:
    fault = ("unreadable", f"{type(error).__name__}: {error}")
    found = Inspected(f"{split}[{index}]", "", "", {}, [fault], None)
    return ClipLocation(split, index, found.id, found.speaker), found


def _gather(results: Iterable, folder: epath.Path, says) -> Checked:
    """Puts the clips side by side, each a line of clips.jsonl as it comes."""
    checked = Checked(
        [], np.zeros((0, len(MEASURES)), np.float32), collections.defaultdict(list), []
    )
    rows, seen = [], set()
    part = folder / ".clips.jsonl.part"
    with part.open("w") as lines:
        for place, found in results:
            faults = list(found.faults)
            if place.id in seen:
                faults.append(("id_twice", "another clip has this id"))
            said = says(place.id) if says and found.speaker else None
            if said is not None and clip_checks.plain(said) != clip_checks.plain(found.transcript):
                faults.append(("transcript", f"{found.transcript!r}, and the name says {said!r}"))
            seen.add(place.id)
            checked.places.append(place)
            checked.fingerprints.append(found.fingerprint)
            rows.append(np.array([found.values.get(m, np.nan) for m in MEASURES], np.float32))
            for kind, text in faults:
                checked.faults[kind].append((place, text))
            values = {m: round(v, 4) for m, v in found.values.items() if np.isfinite(v)}
            line = dataclasses.asdict(place) | {"values": values, "faults": faults}
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    part.replace(folder / "clips.jsonl")
    checked.values = np.stack(rows)
    return checked


def _summaries(checked: Checked) -> dict[str, Any]:
    """Medians and percentiles of the corpus, its splits and its speakers, and histograms."""
    by_split, by_speaker = collections.defaultdict(list), collections.defaultdict(list)
    for row, place in enumerate(checked.places):
        by_split[place.split].append(row)
        if place.speaker:
            by_speaker[place.speaker].append(row)
    speakers = {}
    for speaker, rows in by_speaker.items():
        splits = sorted({checked.places[row].split for row in rows})
        speakers[speaker] = {"splits": splits} | _summary(checked, rows)
    return {
        "measures": {
            name: {"label": m.label, "unit": m.unit, "what": m.what, "limit": m.limit}
            | {"histogram": _histogram(checked.column(name), m)}
            for name, m in MEASURES.items()
        },
        "all": _summary(checked, range(len(checked.places))),
        "splits": {
            split: {"speakers": len({checked.places[row].speaker for row in rows} - {""})}
            | _summary(checked, rows)
            for split, rows in by_split.items()
        },
        "speakers": speakers,
    }


def _summary(checked: Checked, rows: Sequence[int]) -> dict[str, Any]:
    """Of some clips: count, seconds; of each measure its median, spread and percentiles."""
    values = checked.values[list(rows)]
    found = {"clips": len(rows), "seconds": round(float(np.nansum(values[:, 0])), 2)}
    summary = {}
    for name, column in zip(MEASURES, values.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known):
            low, median, high = np.percentile(known, [5, 50, 95])
            spread = np.median(np.abs(known - median))  # One clip far off changes neither.
            numbers = {"median": median, "spread": spread, "p5": low, "p95": high}
            summary[name] = {key: round(float(number), 3) for key, number in numbers.items()}
            summary[name]["clips"] = len(known)
    return found | {"measures": summary}


def _histogram(values: np.ndarray, measure: clip_checks.Measure) -> dict[str, Any] | None:
    """Counts over even bins that hold all values but the last 0.1 %, and the limits near them."""
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


def _findings(checked: Checked, speakers_share_splits: bool) -> list[dict[str, Any]]:
    """Errors first, then warnings; of each, the worst clips first."""
    faults = {**checked.faults, **_recordings(checked), **_speakers(checked, speakers_share_splits)}
    findings = []
    for kind, (severity, title) in FAULTS.items():
        if entries := faults.get(kind):
            clips = [{**dataclasses.asdict(place), "text": text} for place, text in entries]
            findings.append(_finding(kind, severity, title, "", clips))
    for name, measure in MEASURES.items():
        column = checked.column(name)
        excess = measure.excess(column)
        if name == "offset":
            excess = np.where(checked.column("agreement") >= clip_checks.SURE, excess, 0)
        clips = [
            {
                **dataclasses.asdict(checked.places[row]),
                "text": f"{column[row]:.3g} {measure.unit}".strip(),
            }
            for row in np.argsort(-excess, kind="stable")[: np.count_nonzero(excess > 0)]
        ]
        if clips:
            findings.append(_finding(name, WARNING, measure.label, measure.limit, clips))
    return findings


def _finding(kind, severity, title, limit, clips) -> dict[str, Any]:
    found = {"kind": kind, "severity": severity, "title": title, "limit": limit}
    return found | {"count": len(clips), "clips": clips[:_LISTED]}


def _recordings(checked: Checked) -> dict[str, list[tuple[ClipLocation, str]]]:
    """The same recording twice."""
    known = [(p, f) for p, f in zip(checked.places, checked.fingerprints, strict=True) if f]
    faults = collections.defaultdict(list)
    for i, j, alike in duplicates.find_duplicates([print_of for _, print_of in known]):
        (a, _), (b, _) = known[i], known[j]
        kind = "recording_twice" if a.split == b.split else "recording_in_two_splits"
        for clip, other in ((a, b), (b, a)):
            where = f" in {other.split}" if a.split != b.split else ""
            faults[kind].append((clip, f"and {other.id}{where}: {alike:.0%} alike"))
    return faults


def _speakers(checked: Checked, share_splits: bool) -> dict[str, list[tuple[ClipLocation, str]]]:
    """Speakers in two splits; late or early in the median; clips unlike the speaker's others."""
    rows = collections.defaultdict(list)
    for row, place in enumerate(checked.places):
        if place.speaker:
            rows[place.speaker].append(row)
    faults = collections.defaultdict(list)
    for speaker, own in rows.items():
        first = checked.places[own[0]]
        splits = collections.Counter(checked.places[row].split for row in own)
        if len(splits) > 1 and not share_splits:
            text = ", ".join(f"{count} clips in {split}" for split, count in splits.items())
            faults["speaker_in_two_splits"].append((first, f"{speaker}: {text}"))
        offsets = checked.column("offset")[own]
        offsets = offsets[np.isfinite(offsets)]
        if len(offsets) >= _SPEAKER_CLIPS and abs(np.median(offsets)) > clip_checks.MAX_OFFSET:
            median = np.median(offsets)
            spread = np.median(np.abs(offsets - median))
            text = f"{speaker}: {median:+g} frames, spread {spread:g}, {len(offsets)} clips"
            faults["speaker_offset"].append((first, text))
        warmth = checked.column("warmth")[own]
        off = warmth - np.nanmedian(warmth) if np.isfinite(warmth).any() else np.zeros(len(own))
        if len(own) >= _SPEAKER_CLIPS:
            for at in np.argsort(-np.abs(off))[: np.count_nonzero(np.abs(off) > _MAX_WARMTH)]:
                text = f"{off[at]:+.0f} levels of red over blue"
                faults["colour"].append((checked.places[own[at]], text))
    return faults


def _quarantine(path: epath.Path) -> dict[str, Any] | None:
    """How many clips the build left out, and why; None where it wrote no report."""
    if not path.exists():
        return None
    report = json.loads(path.read_text())
    return {"clips": report["clips"], "quarantined": report["quarantined"]}
