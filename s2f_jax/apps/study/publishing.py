"""`study report`: what a study found as a page, as text, and as numbers."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from etils import epath

from data_pipelines.common.files import write_atomically
from s2f_jax.apps.study import ballots, findings
from s2f_jax.reports import formats, page, plots

_NONE = "–"  # Of a figure that there is none of.
_CLIPS = 60  # Whose shares the page shows; report.json has all.
_OWN, _CHANCE = "own", "chance"  # Lines of a plot.


def publish(study: str, output: str | None = None) -> dict[str, Any]:
    """Writes report.html, report.md and report.json into `output`, by default report/ of the study's
    folder -> what report.json holds.

    Raises:
      UserError: there is no such study, it was changed, nobody has voted, or nothing can be written.
    """
    report = findings.of(ballots.read_ballots(study))
    report["methods"] = methods(report)
    folder = epath.Path(output) if output else epath.Path(study) / "report"
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    write_atomically(folder / "report.md", markdown(report).encode())
    write_atomically(folder / "report.html", html(report).encode())
    write_atomically(folder / "report.json", f"{text}\n".encode())
    return report


def methods(report: Mapping[str, Any]) -> str:
    """A paragraph for a paper, with the study's own numbers."""
    text = _plain_environment().get_template("study_methods.txt").render(_shown(report))
    return " ".join(text.split())


def markdown(report: Mapping[str, Any]) -> str:
    """For people who read no HTML; what people were asked is text there, whatever it holds."""
    asked = dict(report["study"], question=_escaped(report["study"]["question"]))
    report = dict(report, study=asked)
    report["methods"] = methods(report)
    return _plain_environment().get_template("study.md").render(_shown(report))


def html(report: Mapping[str, Any]) -> str:
    """A page that needs nothing from outside."""
    environment = page.template_environment("s2f_jax.apps.study")
    environment.filters |= _FILTERS
    main = report["main"]
    compared = main.get("comparisons", [])
    return environment.get_template("study.html").render(
        **_shown(report),
        by_clip=[_by_clip(of["pairs"], f"{of['a']} over {of['b']}") for of in compared]
        or [_labels_by_clip(main["clips"])],
        plots=[
            *(_sorted_shares(of["voters"], f"votes for {of['a']}") for of in compared),
            *([_sorted_shares(main["voters"], "labelled correctly")] if not compared else []),
        ],
    )


def _shown(report: Mapping[str, Any]) -> dict[str, Any]:
    """What all three templates are given."""
    kind = report["study"]["kind"]
    return {
        "report": report,
        "study": report["study"],
        "people": report["participants"],
        "main": report["main"],
        "everyone": report["everyone"],
        "turing": kind == "turing",
        "rows": _rows(report),
    }


def _rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures of the table: each on the votes that count, and on all."""
    main, everyone = report["main"], report["everyone"]
    if report["study"]["kind"] == "turing":
        named = {
            "correct": ("labelled correctly", "labelled correctly"),
            "hits": ("real videos called real (hits)", "hits"),
            "false_alarms": ("generated videos called real (false alarms)", "false alarms"),
            "said_real": ("any video called real", "called real"),
        }
        return [
            {"title": title, "short": short, "lead": key == "correct"}
            | {"main": main[key], "everyone": everyone[key]}
            for key, (title, short) in named.items()
        ]
    rows = []
    for ours, all_of in zip(main["comparisons"], everyone["comparisons"], strict=True):
        title = f"{ours['a']} over {ours['b']}"
        rows.append({"title": title, "lead": True, "main": ours, "everyone": all_of})
        for side in ("left", "right"):
            on_side = {"main": ours["sides"][side], "everyone": all_of["sides"][side]}
            short = f"with {ours['a']} {side}"
            rows.append({"title": f"{title}, {short}", "short": short, "lead": False, **on_side})
    sides = {"main": main["left"], "everyone": everyone["left"]}
    return [*rows, {"title": "the left video", "lead": False, **sides}]


def _by_clip(pairs: Sequence[Mapping[str, Any]], title: str) -> dict[str, Any]:
    ordered = sorted(pairs, key=lambda of: (of["share"] is None, -(of["share"] or 0)))
    rows = [{"title": of["clip"], **of} for of in ordered]
    return {"title": title, "rows": rows[:_CLIPS], "more": max(len(rows) - _CLIPS, 0)}


def _labels_by_clip(clips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the generated videos, those first that pass most often for real."""
    found = _by_clip(
        [{"clip": of["clip"], **of["generated"]} for of in clips], "generated ones called real"
    )
    real = {of["clip"]: of["real"] for of in clips}
    return found | {"rows": [row | {"other": real[row["title"]]} for row in found["rows"]]}


def _sorted_shares(voters: Sequence[Mapping[str, int]], what: str) -> plots.Plot | None:
    """Each participant's own share, from the lowest to the highest."""
    if not voters:
        return None
    shares = np.sort([100 * voter["wins"] / voter["votes"] for voter in voters])
    chance = plots.Line(_CHANCE, np.array([0.0, 100.0]), np.array([50.0, 50.0]))
    own = plots.Line(_OWN, 100 * (np.arange(len(shares)) + 0.5) / len(shares), shares)
    colours = {_OWN: "c-model", _CHANCE: "c-frozen_still"}
    return plots.draw_plot(f"%, {what}", "% of the participants", [own, chance], colours)


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.2f} %"


def _interval(bounds: Sequence[float] | None) -> str:
    return _NONE if bounds is None else f"[{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"


def _p(value: float | None) -> str:
    """As papers have it."""
    if value is None:
        return f"p {_NONE}"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _number(value: float | None, digits: int = 2) -> str:
    return _NONE if value is None else f"{value:.{digits}f}".replace("-", "−")


def _escaped(text: str) -> str:
    """A text as one paragraph of Markdown that shows it as it is."""
    text = re.sub(r"([\\`*_\[\]<>|~&#])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", text)  # Of a list or a heading, at its start.


def _names(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


_FILTERS = {
    "percent": _percent,
    "interval": _interval,
    "p": _p,
    "number": _number,
    "names": _names,
    "cell": formats.escape_markdown,
}


def _plain_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("s2f_jax.apps.study"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= _FILTERS
    return environment
