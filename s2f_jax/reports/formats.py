"""A report as text: Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from s2f_jax.metrics.registry import GROUPS
from s2f_jax.reports import labels

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "∞": r"$\infty$", "–": "--", "−": r"$-$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "±": r"$\pm$", "→": r"$\rightarrow$", "<": r"$<$", ">": r"$>$", "[": "{[}", "]": "{]}",
}  # fmt: skip
_SPREAD = "standard deviation between training seeds"
_VERDICTS = {True: "holds", False: "does not hold", None: "not decided"}


def markdown(report: Mapping[str, Any]) -> str:
    """Formats a report as tables in Markdown.

    Args:
      report: Contents of report.json.

    Returns:
      The text.
    """
    rows, differences = report["rows"], report.get("differences", {})
    metrics = labels.ordered_metrics(rows)
    lines = [f"# {report['corpus']}, {report['split']}", ""]
    if report.get("orderings"):
        lines += ["## The paper's findings", ""]
        lines += [f"- {claim['claim']}: {verdict_text(claim)}" for claim in report["orderings"]]
        lines += [f"- {labels.title(row)}: {why}" for row, why in report["unfinished"].items()]
        lines += ["", "## Scores", ""]
    table = _texts(rows, metrics, labels.format_mean)
    lines += _markdown_table(metrics, table | paper_rows(report, metrics))
    spread = f" ±{_SPREAD}" if labels.has_seeds(rows) else ""
    lines += ["", f"Mean [95 % interval]{spread}; ∞: the two are identical; –: not scored.", ""]
    if differences:
        lines += [f"## Paired differences to {labels.title(report['baseline'])}", ""]
        lines += _markdown_table(metrics, _texts(differences, metrics, labels.format_difference))
        lines += ["", "\\*: the 95 % interval excludes 0.", ""]
    lines += ["## Conventions", ""]
    lines += [f"- {labels.title(key)}: {text}" for key, text in report["conventions"].items()]
    lines += ["", "## Clips", ""]
    lines += [
        f"- {labels.title(row)}: {count}{'; ' if reasons else ''}{reasons}"
        for row, count, reasons in labels.clip_counts(rows)
    ]
    return "\n".join(lines) + "\n"


def paper_rows(report: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, list[str]]:
    """Formats the paper's numbers as rows of the table.

    Args:
      report: Contents of report.json.
      metrics: The columns.

    Returns:
      Row -> a text for each column, "" where the paper has no number.
    """
    return {
        row: [labels.format_number(m, numbers[m]) if m in numbers else "" for m in metrics]
        for row, numbers in report.get("paper", {}).items()
    }


def verdict_text(claim: Mapping[str, Any]) -> str:
    """Formats whether one of the paper's claims holds.

    Args:
      claim: An entry of report.json's "orderings".

    Returns:
      The verdict with its numbers, or why there is none.
    """
    if claim.get("unknown"):
        return f"not measured: {claim['unknown']}"
    return f"{_VERDICTS[claim['holds']]} ({claim['numbers']})"


def latex(report: Mapping[str, Any]) -> str:
    """Formats a report as LaTeX tables of a few metrics each, with booktabs.

    Args:
      report: Contents of report.json.

    Returns:
      The text, in ASCII.
    """
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for metric in labels.ordered_metrics(report["rows"]):
        groups[labels.metric_info(metric).group].append(metric)
    tables = [_latex_table(report, name, metrics) for name, metrics in groups.items() if metrics]
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(tables)


def _latex_table(report: Mapping[str, Any], name: str, metrics: list[str]) -> str:
    rows, differences = report["rows"], report.get("differences", {})
    caption = f"{report['corpus']}, {report['split']}: {name}. Mean [95 % interval]"
    caption += f" ±{_SPREAD}" if labels.has_seeds(rows) else ""
    if differences:
        caption += f"; *: the paired difference to {report['baseline']} excludes 0"
    lines = ["\\begin{table}", "  \\centering", "  \\small"]
    lines += [f"  \\caption{{{escape_latex(caption)}.}}"]
    lines += [f"  \\begin{{tabular}}{{l{'r' * len(metrics)}}}", "    \\toprule"]
    lines += [_latex_row(["", *(escape_latex(labels.column_heading(m)) for m in metrics)])]
    lines += ["    \\midrule"]
    for row, cells in rows.items():
        texts = []
        for metric in metrics:
            mark = labels.excludes_zero(differences.get(row, {}).get(metric))
            text = escape_latex(labels.format_mean(metric, cells.get(metric)))
            text += "$^{*}$" if mark else ""
            bounds = escape_latex(labels.format_interval(metric, cells.get(metric)))
            texts.append(f"{text} {{\\scriptsize {bounds}}}" if bounds else text)
        lines.append(_latex_row([escape_latex(labels.title(row)), *texts]))
    published = paper_rows(report, metrics)
    lines += ["    \\midrule"] if published else []
    for row, texts in published.items():
        lines.append(_latex_row(map(escape_latex, [labels.title(row), *texts])))
    lines += ["    \\bottomrule", "  \\end{tabular}", "\\end{table}", ""]
    return "\n".join(lines)


def _latex_row(cells: Iterable[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def escape_latex(text: str) -> str:
    r"""Escapes a text for LaTeX.

    Brackets too, since a row that begins with one would be an argument of the \\ before it.

    Args:
      text: Any text.

    Returns:
      The escaped text.
    """
    return "".join(_LATEX.get(character, character) for character in text)


def table_csv(report: Mapping[str, Any]) -> str:
    """Formats a report as CSV: a line per row and metric, with all digits.

    Args:
      report: Contents of report.json.

    Returns:
      The text; with the differences to the baseline and the spread between seeds where the report
      has them.
    """
    differences = report.get("differences", {})
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = ["row", "metric", "mean", "low", "high", "clips", "unscored", "reasons"]
    extra = ["difference", "difference_low", "difference_high", "better"] if differences else []
    of_seeds = ["seeds", "seed_std"] if labels.has_seeds(report["rows"]) else []
    extra += of_seeds
    writer.writerow(heads + extra)
    for row, cells in report["rows"].items():
        for metric in labels.ordered_metrics({row: cells}):
            cell, against = cells[metric], differences.get(row, {}).get(metric, {})
            mean = "inf" if cell["clips"] and cell["mean"] is None else cell["mean"]
            reasons = "; ".join(f"{reason} ({n})" for reason, n in cell["unscored"].items())
            line = [row, metric, mean, cell["low"], cell["high"], cell["clips"]]
            line += [sum(cell["unscored"].values()), reasons]
            if differences:
                line += [against.get(key) for key in ("mean", "low", "high", "better")]
            line += [cell.get(key) for key in of_seeds]
            writer.writerow(line)
    for row, numbers in report.get("paper", {}).items():
        for metric, value in numbers.items():
            writer.writerow([row, metric, value] + [""] * (len(heads) + len(extra) - 3))
    return file.getvalue()


def _texts(
    rows: labels.Rows,
    metrics: Sequence[str],
    format_value: Callable[[str, labels.Cell | None], str],
) -> dict[str, list[str]]:
    """Each cell's number with its interval."""
    return {
        row: [
            f"{format_value(m, cells.get(m))} {labels.format_interval(m, cells.get(m))}".strip()
            for m in metrics
        ]
        for row, cells in rows.items()
    }


def _markdown_table(metrics: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines of a table with a column for each metric."""
    heads = [escape_markdown(labels.column_heading(metric)) for metric in metrics]
    lines = [f"| row | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    return lines + [
        f"| {escape_markdown(labels.title(row))} | {' | '.join(texts)} |"
        for row, texts in rows.items()
    ]


def escape_markdown(text: str) -> str:
    """Escapes a cell of a Markdown table, which a bar would end.

    Args:
      text: Any text.

    Returns:
      The escaped text.
    """
    return text.replace("|", "\\|")
