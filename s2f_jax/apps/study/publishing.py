"""`s2f study report`: the results of a study as a page, as Markdown, and as JSON."""

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

_NONE = "–"  # A figure that does not exist.
_MAX_CLIPS = 60  # On the page; report.json has all.
_OWN, _CHANCE = "own", "chance"  # Lines of a plot.


def write_report(study: str, output: str | None = None) -> dict[str, Any]:
    """Analyzes a study and writes report.html, report.md and report.json.

    Args:
      study: The study's folder.
      output: Folder to write; None: report/ in the study's folder.

    Returns:
      The contents of report.json.

    Raises:
      UserError: There is no such study, it was changed, nobody has voted, or it cannot be written.
    """
    report = findings.analyze(ballots.read_results(study))
    report["methods"] = methods_paragraph(report)
    folder = epath.Path(output) if output else epath.Path(study) / "report"
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    write_atomically(folder / "report.md", markdown(report).encode())
    write_atomically(folder / "report.html", html(report).encode())
    write_atomically(folder / "report.json", f"{text}\n".encode())
    return report


def methods_paragraph(report: Mapping[str, Any]) -> str:
    """Writes the methods section for a paper, with the study's own numbers.

    Args:
      report: Contents of report.json.

    Returns:
      A paragraph of plain text.
    """
    return " ".join(_render_text("study_methods.txt", report).split())


def markdown(report: Mapping[str, Any]) -> str:
    """Renders a report as Markdown, with the study's question escaped.

    Args:
      report: Contents of report.json.

    Returns:
      Markdown.
    """
    study = dict(report["study"], question=_escaped(report["study"]["question"]))
    report = dict(report, study=study)
    report["methods"] = methods_paragraph(report)
    return _render_text("study.md", report)


def html(report: Mapping[str, Any]) -> str:
    """Renders a report as a self-contained page.

    Args:
      report: Contents of report.json.

    Returns:
      HTML.
    """
    main = report["main"]
    if comparisons := main.get("comparisons"):
        charts = [_by_clip(c["pairs"], f"{c['a']} over {c['b']}") for c in comparisons]
        shares = [_sorted_shares(c["voters"], f"votes for {c['a']}") for c in comparisons]
    else:
        charts = [_labels_by_clip(main["clips"])]
        shares = [_sorted_shares(main["voters"], "labelled correctly")]
    template = _environment().get_template("study.html")
    return template.render(**_context(report), by_clip=charts, plots=shares)


def _context(report: Mapping[str, Any]) -> dict[str, Any]:
    # The variables of all three templates.
    return {
        "report": report,
        "study": report["study"],
        "people": report["participants"],
        "main": report["main"],
        "everyone": report["everyone"],
        "turing": report["study"]["kind"] == "turing",
        "rows": _rows(report),
    }


def _rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    # The figures of the table: of the included participants, and of everyone.
    main, everyone = report["main"], report["everyone"]
    if report["study"]["kind"] == "turing":
        titles = {
            "correct": ("labelled correctly", "labelled correctly"),
            "hits": ("real videos called real (hits)", "hits"),
            "false_alarms": ("generated videos called real (false alarms)", "false alarms"),
            "said_real": ("any video called real", "called real"),
        }
        return [
            {"title": title, "short": short, "lead": key == "correct"}
            | {"main": main[key], "everyone": everyone[key]}
            for key, (title, short) in titles.items()
        ]
    rows = []
    for included, unfiltered in zip(main["comparisons"], everyone["comparisons"], strict=True):
        title = f"{included['a']} over {included['b']}"
        rows.append({"title": title, "lead": True, "main": included, "everyone": unfiltered})
        for side in ("left", "right"):
            on_side = {"main": included["sides"][side], "everyone": unfiltered["sides"][side]}
            short = f"with {included['a']} {side}"
            rows.append({"title": f"{title}, {short}", "short": short, "lead": False, **on_side})
    sides = {"main": main["left"], "everyone": everyone["left"]}
    return [*rows, {"title": "the left video", "lead": False, **sides}]


def _by_clip(pairs: Sequence[Mapping[str, Any]], title: str) -> dict[str, Any]:
    ordered = sorted(pairs, key=lambda item: (item["share"] is None, -(item["share"] or 0)))
    rows = [{"title": item["clip"], **item} for item in ordered]
    return {"title": title, "rows": rows[:_MAX_CLIPS], "more": max(len(rows) - _MAX_CLIPS, 0)}


def _labels_by_clip(clips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # First the generated videos that are most often called real.
    generated = [{"clip": item["clip"], **item["generated"]} for item in clips]
    chart = _by_clip(generated, "generated videos called real")
    real = {item["clip"]: item["real"] for item in clips}
    return chart | {"rows": [row | {"other": real[row["title"]]} for row in chart["rows"]]}


def _sorted_shares(voters: Sequence[Mapping[str, int]], label: str) -> plots.Plot | None:
    # Each participant's own share, in ascending order.
    if not voters:
        return None
    shares = np.sort([100 * voter["wins"] / voter["votes"] for voter in voters])
    chance = plots.Line(_CHANCE, np.array([0.0, 100.0]), np.array([50.0, 50.0]))
    own = plots.Line(_OWN, 100 * (np.arange(len(shares)) + 0.5) / len(shares), shares)
    colours = {_OWN: "c-model", _CHANCE: "c-frozen_still"}
    return plots.draw_plot(f"%, {label}", "% of the participants", [own, chance], colours)


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.2f} %"


def _interval(bounds: Sequence[float] | None) -> str:
    return _NONE if bounds is None else f"[{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"


def _p(value: float | None) -> str:
    if value is None:
        return f"p {_NONE}"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _number(value: float | None, digits: int = 2) -> str:
    return _NONE if value is None else f"{value:.{digits}f}".replace("-", "−")


def _escaped(text: str) -> str:
    # One paragraph of Markdown that shows the text literally.
    text = re.sub(r"([\\`*_\[\]<>|~&#])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", text)  # The start of a list or a heading.


def _names(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


_FILTERS = {
    "percent": _percent,
    "interval": _interval,
    "p": _p,
    "number": _number,
    "names": _names,
    "cell": formats.escape_markdown,
}


def _environment(**options: Any) -> jinja2.Environment:
    environment = page.template_environment("s2f_jax.apps.study").overlay(**options)
    environment.filters |= _FILTERS
    return environment


def _render_text(template: str, report: Mapping[str, Any]) -> str:
    environment = _environment(
        autoescape=False, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template).render(_context(report))
