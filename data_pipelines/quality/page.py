"""The page of a corpus's check: findings, the clips to look at, histograms, speakers."""

import base64
import collections
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import cv2
import jinja2
import numpy as np

from data_pipelines.aligning import contact_sheet
from data_pipelines.faces import measures

# What keeps the page of a corpus of any size at some megabytes.
_NAMED = 12  # Clips that a finding names,
_SHOWN = 4  # of which it shows the frames,
_CARDS = 60  # until so many are shown in all.
_SPEAKERS = 500  # Rows of speakers.
_SHEETS = 100  # Contact sheets.
_REASONS = 200  # Quarantined clips.
_SHEET_WIDTH = 512  # Pixels.
_QUALITY = 80  # Of its JPEGs.
_NO_PICTURE = ("unreadable", "frames", "lengths", "landmarks")  # Kinds of broken clips.
_COLUMNS = ("faceless", "residual", "yaw", "pitch", "level", "clipped", "silence", "offset")


def html(report: Mapping[str, Any], places: Sequence, open_split: Callable[[str], Sequence]) -> str:
    """What check.json holds, the check.Place of every clip, and {split: its clips} -> the page."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    template = (
        resources.files("data_pipelines.quality").joinpath("templates/check.html").read_text()
    )
    findings = report["findings"]
    broken = {
        (clip["split"], clip["index"])
        for finding in findings
        if finding["kind"] in _NO_PICTURE
        for clip in finding["clips"]
    }
    cards = _cards(findings, broken, open_split)
    warned = collections.Counter(clip["speaker"] for f in findings for clip in f["clips"])
    speakers = sorted(report["speakers"], key=lambda name: (-warned[name], _natural(name)))
    whole = [place for place in places if (place.split, place.index) not in broken]
    quarantine = report["quarantine"] or {"clips": 0, "quarantined": {}}
    reasons = list(quarantine["quarantined"].items())
    return environment.from_string(template).render(
        report=report,
        findings=[
            finding | {"named": finding["clips"][:_NAMED], "share": _share(finding, report)}
            for finding in findings
        ],
        cards=list(cards.values()),
        shown={key: card["anchor"] for key, card in cards.items()},
        charts=[_chart(m) for m in report["measures"].values() if m["histogram"]],
        columns=[(name, report["measures"][name]) for name in _COLUMNS],
        speakers=[(name, report["speakers"][name], warned[name]) for name in speakers[:_SPEAKERS]],
        more_speakers=max(len(speakers) - _SPEAKERS, 0),
        sheets=_sheets(speakers[:_SHEETS], whole, open_split),
        more_sheets=max(len(speakers) - _SHEETS, 0),
        quarantined=reasons[:_REASONS],
        more_quarantined=max(len(reasons) - _REASONS, 0),
    )


def _cards(
    findings: Iterable[Mapping], broken: set, open_split: Callable[[str], Sequence]
) -> dict[tuple, dict]:
    """The worst clips of every finding, each once: frames, curves, and all that is said of it."""
    cards: dict[tuple, dict] = {}
    for finding in findings:
        for place in finding["clips"][:_SHOWN]:
            key = place["split"], place["index"]
            if key in broken or key in cards or len(cards) == _CARDS:
                continue
            clip = open_split(place["split"])[place["index"]]
            cards[key] = {
                "anchor": f"{place['split']}-{place['index']}",
                "place": place,
                "transcript": clip.transcript,
                "frames": _picture(contact_sheet.contact_sheet([clip.jpegs])),
                "mouth": _curve(measures.mouth_opening(clip.landmarks)),
                "sound": _curve(np.maximum(measures.loudness(clip.audio, len(clip)), -70)),
                "said": [],
            }
    for finding in findings:
        for place in finding["clips"]:
            if card := cards.get((place["split"], place["index"])):
                card["said"].append((finding["severity"], finding["title"], place["text"]))
    return cards


def _sheets(
    speakers: Sequence[str], places: Iterable, open_split: Callable[[str], Sequence]
) -> list[tuple[str, str]]:
    """A contact sheet of every speaker."""
    by_speaker = collections.defaultdict(list)
    for place in places:
        by_speaker[place.speaker].append(place)
    pictures = []
    for speaker in sorted(speakers, key=_natural):
        if chosen := contact_sheet.evenly_spaced(by_speaker[speaker], contact_sheet.ROWS):
            jpegs = [open_split(place.split)[place.index].jpegs for place in chosen]
            pictures.append((speaker, _picture(contact_sheet.contact_sheet(jpegs), _SHEET_WIDTH)))
    return pictures


def _chart(measure: Mapping[str, Any]) -> dict[str, Any]:
    """A histogram as bars in a box of 100 x 40, and where its limits are."""
    histogram = measure["histogram"]
    low, high, counts = histogram["low"], histogram["high"], histogram["counts"]
    tallest = max(counts)
    width = 100 / len(counts)
    # Square roots, so that one clip among thousands is still seen.
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
    """Values [T] -> the points of a line in a box of 100 x 30."""
    low, high = values.min(), values.max()
    y = 28 - 26 * (values - low) / max(high - low, 1e-9)
    x = np.linspace(0, 100, len(values))
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _picture(image: np.ndarray, width: int = 0) -> str:
    """uint8 [H, W, 3] RGB -> the address of a JPEG of at most that width, in the page itself."""
    if width and width < image.shape[1]:
        height = round(image.shape[0] * width / image.shape[1])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _share(finding: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    return f"{finding['count'] / report['all']['clips']:.1%}"


def _number(value: float) -> str:
    """Three digits at most, without an exponent, a sign of zero or a hyphen for a minus."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if digits else text
    return "0" if text == "-0" else text.replace("-", "−")


def _natural(name: str) -> list:
    """s2 comes before s10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
