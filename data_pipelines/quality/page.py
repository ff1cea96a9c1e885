"""The page of a corpus's check: findings, the clips to look at, histograms, speakers."""

import base64
import collections
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import cv2
import jinja2
import numpy as np

from data_pipelines.aligning import contact_sheet
from data_pipelines.faces import measures
from data_pipelines.loading.dataset import DatasetClip

# They limit the page of a corpus of any size to some megabytes.
_NAMED = 12  # Clips that a finding names.
_SHOWN = 4  # Clips of a finding with frames.
_CARDS = 60  # Clips with frames in all.
_SPEAKERS = 500  # Rows of speakers.
_SHEETS = 100  # Contact sheets.
_REASONS = 200  # Quarantined clips.
_SHEET_WIDTH = 512  # Pixels.
_QUALITY = 80  # Of its JPEGs.
_NO_PICTURE = ("unreadable", "frames", "lengths", "landmarks")  # Kinds of clips without frames.
OpenSplit = Callable[[str], Sequence[DatasetClip]]

_COLUMNS = ("faceless", "residual", "yaw", "pitch", "level", "clipped", "silence", "offset")


def render_page(report: Mapping[str, Any], locations: Sequence[Any], open_split: OpenSplit) -> str:
    """Renders the page.

    Args:
      report: The content of check.json.
      locations: The check.ClipLocation of every clip.
      open_split: Returns the clips of a split, by its name.

    Returns:
      HTML.
    """
    loader = jinja2.PackageLoader("data_pipelines.quality")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    findings, total = report["findings"], report["all"]["clips"]
    unseen = (finding for finding in findings if finding["kind"] in _NO_PICTURE)
    broken = {(clip["split"], clip["index"]) for finding in unseen for clip in finding["clips"]}
    cards = _cards(findings, broken, open_split)
    warned = collections.Counter(clip["speaker"] for f in findings for clip in f["clips"])
    speakers = sorted(report["speakers"], key=lambda name: (-warned[name], _natural(name)))
    usable = [clip for clip in locations if (clip.split, clip.index) not in broken]
    quarantine = report["quarantine"] or {"clips": 0, "quarantined": {}}
    reasons = list(quarantine["quarantined"].items())
    return environment.get_template("check.html").render(
        report=report,
        findings=[
            finding
            | {"named": finding["clips"][:_NAMED], "share": f"{finding['count'] / total:.1%}"}
            for finding in findings
        ],
        cards=list(cards.values()),
        shown={key: card["anchor"] for key, card in cards.items()},
        charts=[_chart(m) for m in report["measures"].values() if m["histogram"]],
        columns=[(name, report["measures"][name]) for name in _COLUMNS],
        speakers=[(name, report["speakers"][name], warned[name]) for name in speakers[:_SPEAKERS]],
        more_speakers=max(len(speakers) - _SPEAKERS, 0),
        sheets=_sheets(speakers[:_SHEETS], usable, open_split),
        more_sheets=max(len(speakers) - _SHEETS, 0),
        quarantined=reasons[:_REASONS],
        more_quarantined=max(len(reasons) - _REASONS, 0),
    )


def _cards(
    findings: Iterable[Mapping[str, Any]], broken: set[tuple[str, int]], open_split: OpenSplit
) -> dict[tuple[str, int], dict[str, Any]]:
    """Returns the worst clips of every finding, each once: frames, curves and all its findings."""
    cards: dict[tuple[str, int], dict[str, Any]] = {}
    for finding in findings:
        for location in finding["clips"][:_SHOWN]:
            key = location["split"], location["index"]
            if key in broken or key in cards or len(cards) == _CARDS:
                continue
            clip = open_split(location["split"])[location["index"]]
            cards[key] = {
                "anchor": f"{location['split']}-{location['index']}",
                "location": location,
                "transcript": clip.transcript,
                "frames": _picture(contact_sheet.contact_sheet([clip.jpegs])),
                "mouth": _curve(measures.mouth_opening(clip.landmarks)),
                "sound": _curve(np.maximum(measures.loudness(clip.audio, len(clip)), -70)),
                "findings": [],
            }
    for finding in findings:
        for location in finding["clips"]:
            if card := cards.get((location["split"], location["index"])):
                card["findings"].append((finding["severity"], finding["title"], location["text"]))
    return cards


def _sheets(
    speakers: Sequence[str], locations: Iterable[Any], open_split: OpenSplit
) -> list[tuple[str, str]]:
    """Returns a contact sheet of every speaker."""
    by_speaker = collections.defaultdict(list)
    for location in locations:
        by_speaker[location.speaker].append(location)
    pictures = []
    for speaker in sorted(speakers, key=_natural):
        if chosen := contact_sheet.evenly_spaced(by_speaker[speaker], contact_sheet.ROWS):
            jpegs = [open_split(clip.split)[clip.index].jpegs for clip in chosen]
            pictures.append((speaker, _picture(contact_sheet.contact_sheet(jpegs), _SHEET_WIDTH)))
    return pictures


def _chart(measure: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a histogram as bars in a box of 100 x 40, and its limits."""
    histogram = measure["histogram"]
    low, high, counts = histogram["low"], histogram["high"], histogram["counts"]
    tallest = max(counts)
    width = 100 / len(counts)
    # Square roots, so that one clip among thousands is still visible.
    heights = [40 * np.sqrt(count / tallest) for count in counts]
    return {
        "measure": measure,
        "low": low,
        "high": high,
        "bars": [
            (i * width, 40 - height, 0.88 * width, height, count)
            for i, (height, count) in enumerate(zip(heights, counts, strict=True))
            if count
        ],
        "limits": [100 * (limit - low) / (high - low) for limit in histogram["limits"]],
    }


def _curve(values: np.ndarray) -> str:
    """Returns the points of a line through values [T] in a box of 100 x 30."""
    low, high = values.min(), values.max()
    y = 28 - 26 * (values - low) / max(high - low, 1e-9)
    x = np.linspace(0, 100, len(values))
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _picture(image: np.ndarray, width: int = 0) -> str:
    """Returns uint8 [H, W, 3] RGB as a data URI of a JPEG of at most that width; 0: any."""
    if width and width < image.shape[1]:
        height = round(image.shape[0] * width / image.shape[1])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _number(value: float) -> str:
    """Returns at most three significant digits, with a minus sign in place of a hyphen."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if digits else text
    return "0" if text == "-0" else text.replace("-", "−")


def _natural(name: str) -> list:
    # A sort key by which s2 comes before s10.
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
