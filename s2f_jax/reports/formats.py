"""A report as text: Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from s2f_jax.reports import labels

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "∞": r"$\infty$", "–": "--", "−": r"$-$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "→": r"$\rightarrow$", "<": r"$<$", ">": r"$>$", "[": "{[}", "]": "{]}",
}  # fmt: skip
_LATEX_GROUPS = {  # A page's width each.
    "images": ("psnr", "psnr_mouth", "ssim", "lmd"),
    "sharpness and speech": ("cpbd", "fdbm", "wer", "cer"),
    "identity": ("acd_l2", "acd_mse", "acd_cos"),
    "synchrony": ("sync_offset", "sync_distance", "sync_confidence"),
    "mouth": ("mouth_correlation", "mouth_loudness", "mouth_energy", "silence_motion"),
    "blinks and jitter": ("blinks_per_s", "blink_s", "jitter"),
}
_VERDICTS = {True: "holds", False: "does not hold", None: "not decided at this size"}


def markdown(report: Mapping[str, Any]) -> str:
    """Tables for people."""
    rows, differences = report["rows"], report.get("differences", {})
    metrics = labels.ordered_metrics(rows)
    lines = [f"# {report['corpus']}, {report['split']}", ""]
    if report.get("orderings"):
        lines += ["## The paper's findings, here", ""]
        lines += [f"- {found['claim']}: {verdict_text(found)}" for found in report["orderings"]]
        lines += [f"- {labels.title(row)}: {why}" for row, why in report["unfinished"].items()]
        lines += ["", "## Scores", ""]
    heads = [escape_markdown(labels.column_heading(metric)) for metric in metrics]
    lines += [f"| row | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for row, cells in rows.items():
        texts = [
            f"{labels.format_mean(m, cells.get(m))} {labels.format_interval(m, cells.get(m))}"
            for m in metrics
        ]
        lines.append(f"| {_row(row)} | {' | '.join(text.strip() for text in texts)} |")
    for row, numbers in report.get("paper", {}).items():
        texts = [labels.format_number(m, numbers[m]) if m in numbers else "" for m in metrics]
        lines.append(f"| {_row(row)} | {' | '.join(texts)} |")
    lines += ["", "Mean [95 % interval]; ∞: the two are identical; –: not scored.", ""]
    if differences:
        lines += [f"## Less {labels.title(report['baseline'])}, clip by clip", ""]
        lines += [f"| row | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
        for row, cells in differences.items():
            texts = [
                f"{labels.format_difference(m, cells.get(m))} {labels.format_interval(m, cells.get(m))}"
                for m in metrics
            ]
            lines.append(f"| {_row(row)} | {' | '.join(text.strip() for text in texts)} |")
        lines += ["", "\\*: the 95 % interval excludes 0.", ""]
    lines += ["## Conventions", ""]
    lines += [f"- {labels.title(name)}: {text}" for name, text in report["conventions"].items()]
    lines += ["", "## Clips", ""]
    lines += [
        f"- {labels.title(row)}: {count}{'; ' if reasons else ''}{reasons}"
        for row, count, reasons in labels.clip_counts(rows)
    ]
    return "\n".join(lines) + "\n"


def verdict_text(ordering: Mapping[str, Any]) -> str:
    """Of one of the paper's orderings, with its numbers."""
    if ordering.get("unknown"):
        return f"not measured: {ordering['unknown']}"
    return f"{_VERDICTS[ordering['holds']]} ({ordering['numbers']})"


def latex(report: Mapping[str, Any]) -> str:
    """Tables for a paper that loads booktabs: a few metrics each."""
    metrics = labels.ordered_metrics(report["rows"])
    known = {metric for group in _LATEX_GROUPS.values() for metric in group}
    groups = _LATEX_GROUPS | {"other": tuple(m for m in metrics if m not in known)}
    tables = [
        _latex_table(report, name, [metric for metric in group if metric in metrics])
        for name, group in groups.items()
        if set(group) & set(metrics)
    ]
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(tables)


def _latex_table(report: Mapping[str, Any], name: str, metrics: list[str]) -> str:
    rows, differences = report["rows"], report.get("differences", {})
    caption = f"{report['corpus']}, {report['split']}: {name}. Mean [95 % interval]"
    if differences:
        caption += f"; *: the paired difference to {report['baseline']} excludes 0"
    lines = [
        "\\begin{table}",
        "  \\centering",
        "  \\small",
        f"  \\caption{{{escape_latex(caption)}.}}",
    ]
    lines += [f"  \\begin{{tabular}}{{l{'r' * len(metrics)}}}", "    \\toprule"]
    lines += [
        _latex_row(["", *(escape_latex(labels.column_heading(metric)) for metric in metrics)])
    ]
    lines += ["    \\midrule"]
    for row, cells in rows.items():
        texts = []
        for metric in metrics:
            mark = labels.excludes_zero(differences.get(row, {}).get(metric))
            text = escape_latex(labels.format_mean(metric, cells.get(metric))) + (
                "$^{*}$" if mark else ""
            )
            bounds = escape_latex(labels.format_interval(metric, cells.get(metric)))
            texts.append(f"{text} {{\\scriptsize {bounds}}}" if bounds else text)
        lines.append(_latex_row([escape_latex(labels.title(row)), *texts]))
    paper = report.get("paper", {})
    lines += ["    \\midrule"] if paper else []
    for row, numbers in paper.items():
        texts = [
            escape_latex(labels.format_number(m, numbers[m])) if m in numbers else ""
            for m in metrics
        ]
        lines.append(_latex_row([escape_latex(labels.title(row)), *texts]))
    lines += ["    \\bottomrule", "  \\end{tabular}", "\\end{table}", ""]
    return "\n".join(lines)


def _latex_row(cells: list[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def escape_latex(text: str) -> str:
    """For LaTeX. Brackets too, which a row that begins with one would give to the \\\\ before it."""
    return "".join(_LATEX.get(character, character) for character in text)


def table_csv(report: Mapping[str, Any]) -> str:
    """A line per row and metric, numbers in full; differences are to the baseline, if there is one."""
    differences = report.get("differences", {})
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = ["row", "metric", "mean", "low", "high", "clips", "unscored", "reasons"]
    extra = ["difference", "difference_low", "difference_high", "better"] if differences else []
    writer.writerow(heads + extra)
    for row, cells in report["rows"].items():
        for metric in labels.ordered_metrics({row: cells}):
            escape_markdown, against = cells[metric], differences.get(row, {}).get(metric, {})
            mean = (
                "inf"
                if escape_markdown["clips"] and escape_markdown["mean"] is None
                else escape_markdown["mean"]
            )
            reasons = "; ".join(
                f"{reason} ({n})" for reason, n in escape_markdown["unscored"].items()
            )
            line = [
                row,
                metric,
                mean,
                escape_markdown["low"],
                escape_markdown["high"],
                escape_markdown["clips"],
            ]
            line += [sum(escape_markdown["unscored"].values()), reasons]
            if differences:
                line += [against.get(key) for key in ("mean", "low", "high", "better")]
            writer.writerow(line)
    for row, numbers in report.get("paper", {}).items():
        for metric, value in numbers.items():
            writer.writerow([row, metric, value] + [""] * (len(heads) + len(extra) - 3))
    return file.getvalue()


def _row(row: str) -> str:
    return escape_markdown(labels.title(row))


def escape_markdown(text: str) -> str:
    """In a Markdown table a bar would end the cell."""
    return text.replace("|", "\\|")
