"""Writes the tables of docs/explanations/evidence.md that stand on scores kept in this folder.

python docs/figures/evidence.py                             # from the scores in docs/figures/evidence
python docs/figures/evidence.py runs/ablations_grid_s1      # first takes the test scores of these runs
"""

import json
import pathlib
import re
import shutil
import sys
import tempfile
from typing import Any

import numpy as np

from s2f_jax.config import read
from s2f_jax.evaluation import ablate
from s2f_jax.reports import formats, labels, table

FOLDER = pathlib.Path(__file__).parent
PAGE = FOLDER.parent / "explanations" / "evidence.md"
SCORES = FOLDER / "evidence" / "grid_s1"
COLUMNS = {
    "psnr_mouth": "mouth box, dB",
    "psnr": "PSNR",
    "fdbm": "FDBM",
    "wer": "WER",
    "sync_confidence": "sync confidence",
    "mouth_correlation": "mouth correlation",
    "mouth_energy": "mouth energy",
    "blinks_per_s": "blinks/s",
    "silence_motion": "motion in silence",
    "jitter": "jitter",
    "seed_spread_eyes": "seeds, eyes",
}
WITH_INTERVAL = ("psnr_mouth", "wer", "mouth_correlation", "blinks_per_s")


def take(runs: pathlib.Path) -> None:
    """Copies the scores of an ablation's runs, without their videos, pictures and curves.

    Args:
      runs: Folder of the runs.
    """
    for evaluation in sorted(runs.glob("*/evaluation/test")):
        kept = SCORES / evaluation.parent.parent.name
        kept.mkdir(parents=True, exist_ok=True)
        scores = json.loads((evaluation / "report.json").read_text())
        scores = {key: own for key, own in scores.items() if key not in ("samples", "figures")}
        (kept / "report.json").write_text(json.dumps(scores, indent=1, ensure_ascii=False) + "\n")
        shutil.copyfile(evaluation / "clips.csv", kept / "clips.csv")
        np.savez(kept / "curves.npz")


def report() -> dict[str, Any]:
    """Makes the report of the runs whose scores are kept.

    Returns:
      The contents of its report.json.
    """
    runs = {folder.name: folder for folder in sorted(SCORES.iterdir())}
    rows = {run: row for run in runs if (row := run.partition("_seed_")[0]) != run}
    variants = ablate.select_variants("configs/grid_s1.py", "runs", None)
    order = [v.name for v in variants if v.name in runs]
    judged = [
        v.name for v in variants if read.load_config(v.config, []).discriminators.sequence.weight
    ]
    with tempfile.TemporaryDirectory() as output:
        return table.write_table(
            output,
            {run: runs[run] for run in [*order, *rows]},
            rows=rows,
            with_sequence=[name for name in judged if name in order],
        )


def rows_of(scores: dict[str, Any]) -> str:
    """Formats the rows of a report as a table.

    Args:
      scores: Contents of report.json.

    Returns:
      Markdown.
    """
    lines = ["| row | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row, cells in scores["rows"].items():
        texts = []
        for metric in COLUMNS:
            cell = cells.get(metric)
            text = labels.format_mean(metric, cell)
            if metric in WITH_INTERVAL or (cell and cell.get("seed_std") is not None):
                text += f" {labels.format_interval(metric, cell)}"
            texts.append(text.strip())
        lines.append(f"| {labels.title(row)} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def findings_of(scores: dict[str, Any]) -> str:
    """Formats what becomes of the paper's findings as a list.

    Args:
      scores: Contents of report.json.

    Returns:
      Markdown.
    """
    return "\n".join(
        f"- {claim['claim']}: {formats.verdict_text(claim)}" for claim in scores["orderings"]
    )


def fill(page: str) -> str:
    """Fills in what stands between the marks of a page.

    Args:
      page: Markdown with <!-- scores --> and <!-- findings -->, or one of them, each with an end mark.

    Returns:
      The page.
    """
    scores = report()
    texts = {"scores": rows_of(scores), "findings": findings_of(scores)}
    return re.sub(
        r"(<!-- (scores|findings) -->\n).*?(<!-- /\2 -->)",
        lambda match: f"{match[1]}{texts[match[2]]}\n{match[3]}",
        page,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        take(pathlib.Path(sys.argv[1]))
    PAGE.write_text(fill(PAGE.read_text()))
