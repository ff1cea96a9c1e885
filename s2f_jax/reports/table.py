"""One report of many runs that were scored on the same clips."""

import collections
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.reports import labels, page, plots, verdicts
from s2f_jax.reports.content import ClipScores, Evaluation
from s2f_jax.reports.scores import read_report, write_files
from s2f_jax.reports.verdicts import BASELINE, MODEL, SANITY

# Conventions that may differ between runs.
PER_RUN_CONVENTIONS = ("run", "checkpoint", "config", "commit", "faces_unseen")
_MAX_SAMPLES = 4  # Clips shown side by side.


def write_table(
    output: epath.PathLike,
    runs: Mapping[str, epath.PathLike],
    *,
    rows: Mapping[str, str] | None = None,
    with_sequence: Collection[str] = (),
    failed: Collection[str] = (),
) -> dict[str, Any]:
    """Writes a report of many runs, each a row, or one of several that are the same but for their seed.

    The rows static_baseline and model come first, others in the order given; the sanity rows are
    those of the run `model`, else of the first. A run without a report is listed as such.

    Args:
      output: Folder of the report.
      runs: Name -> the run's evaluation folder, `<workdir>/evaluation/<split>`.
      rows: Name -> its row, of runs that are not a row of their own name: trained with another seed.
      with_sequence: Rows whose runs have a sequence discriminator.
      failed: Runs whose training failed, of which an older report is ignored.

    Returns:
      The contents of report.json.

    Raises:
      UserError: No run has a report, one is damaged, or two are of different corpora, splits,
        conventions or clips.
    """
    first = [row for row in (BASELINE, MODEL) if row in runs]
    order = [*first, *(row for row in runs if row not in first)]
    evaluations, unfinished = {}, {}
    for row in order:
        folder = epath.Path(runs[row])
        if row in failed:
            unfinished[row] = "its training failed"
        elif (folder / "report.json").exists():
            evaluations[row] = read_report(folder)
        else:
            unfinished[row] = _progress(folder.parent.parent)
    if not evaluations:
        raise UserError(
            f"none of the runs {', '.join(order)} has been scored: run `evaluate` first"
        )
    main = MODEL if MODEL in evaluations else next(iter(evaluations))
    _check_comparable(main, evaluations)
    rows = rows or {}
    scores = _merge_rows(main, evaluations, rows)
    by_row = _by_row(scores)
    extra = {"unfinished": unfinished, "orderings": verdicts.check_claims(by_row, with_sequence)}
    if BASELINE in by_row:
        extra |= {"baseline": BASELINE, "differences": _differences(by_row)}
    # Of several seeds the first has its curves drawn and its videos shown.
    shown = {run: evaluation for run, evaluation in evaluations.items() if run not in rows}
    logs = {run: epath.Path(runs[run]).parent.parent / "metrics.jsonl" for run in shown}
    training_logs = {run: log for run, log in logs.items() if log.exists()}
    conventions = _merge_conventions(main, evaluations)
    main_run = evaluations[main]
    merged = Evaluation(main_run.corpus, main_run.split, conventions, scores)
    cards = _video_cards(shown)
    return write_files(output, merged, training_logs, cards, main_run.figures, extra)


def _progress(workdir: epath.Path) -> str:
    """How far a run without a report has come."""
    if not (workdir / "config.json").exists():
        return "not begun"
    steps = max((event["step"] for event in plots.read_log(workdir / "metrics.jsonl")), default=0)
    return f"trained for {steps} steps so far, and not scored"


def _check_comparable(main: str, evaluations: Mapping[str, Evaluation]) -> None:
    """Raises UserError unless all runs were scored on the same clips in the same way."""
    first = evaluations[main]
    for row, second in evaluations.items():
        if not any(clip.row == "model" for clip in second.scores):
            raise UserError(f"the evaluation of {row} has no row 'model': give that of a run")
        refusal = f"the runs {main} and {row} cannot stand in one table"
        settings = [
            {"corpus": run.corpus, "split": run.split} | _shared_conventions(run)
            for run in (first, second)
        ]
        for field in settings[0] | settings[1]:
            a, b = (run.get(field, "missing") for run in settings)
            if a != b:
                raise UserError(
                    f"{refusal}: {field} is {a!r} in the first and {b!r} in the second; score both"
                    " in the same way"
                )
        a, b = ({(c.clip, c.speaker) for c in run.scores} for run in (first, second))
        if a != b:
            clip, _ = min(a ^ b)
            only = main if clip in {name for name, _ in a} else row
            raise UserError(
                f"{refusal}: they were scored on different clips ({len(a)} and {len(b)}; {clip} is"
                f" in {only} alone or of another speaker); score both on the same shards"
            )


def _merge_conventions(main: str, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Conventions of all runs, and for each run those that may differ."""
    conventions = _shared_conventions(evaluations[main]) | {
        "rows": f"{', '.join(SANITY)}: of the run {main}; every other row: the model of its run or runs",
        "differences": "paired by clips that both could be scored on",
    }
    by_row = {row: evaluation.conventions for row, evaluation in evaluations.items()}
    for key in PER_RUN_CONVENTIONS:
        texts = {row: own[key] for row, own in by_row.items() if key in own}
        if texts:
            conventions[key] = "; ".join(f"{row}: {text}" for row, text in texts.items())
    return conventions


def _shared_conventions(run: Evaluation) -> dict[str, Any]:
    return {key: text for key, text in run.conventions.items() if key not in PER_RUN_CONVENTIONS}


def _merge_rows(
    main: str, evaluations: Mapping[str, Evaluation], rows: Mapping[str, str]
) -> list[ClipScores]:
    """All scores, under the rows of the table and in its order."""
    main_rows = _by_row(evaluations[main].scores)
    scores = [clip for row in SANITY for clip in main_rows.get(row, [])]
    runs_of_row = collections.defaultdict(list)
    for run in evaluations:
        runs_of_row[rows.get(run, run)].append(run)
    for row, runs in runs_of_row.items():
        for run in runs:
            own: dict[str, Any] = {"row": row, "run": run if len(runs) > 1 else ""}
            if run != runs[0]:  # The plots show one video of a clip and row.
                own["curves"] = {}
            model_scores = _by_row(evaluations[run].scores).get("model", [])
            scores += [dataclasses.replace(clip, **own) for clip in model_scores]
    return scores


def _by_row(scores: Sequence[ClipScores]) -> dict[str, list[ClipScores]]:
    rows = collections.defaultdict(list)
    for clip in scores:
        rows[clip.row].append(clip)
    return dict(rows)


def _differences(by_row: Mapping[str, Sequence[ClipScores]]) -> dict[str, dict[str, Any]]:
    """Row -> metric -> the paired difference to the baseline."""
    baseline = by_row[BASELINE]
    metrics = labels.ordered_metrics({BASELINE: {m for clip in baseline for m in clip.values}})
    return {
        row: {
            metric: verdicts.paired_difference(metric, clips, baseline)
            for metric in metrics
            if any(metric in clip.values for clip in clips)
        }
        for row, clips in by_row.items()
        if row != BASELINE
    }


def _video_cards(evaluations: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """Cards of the clips that most runs have a sample of."""
    by_file = collections.defaultdict(dict)
    titles = {}
    for row, evaluation in evaluations.items():
        for sample in evaluation.samples:
            path = epath.Path(sample.path)
            by_file[path.name][row] = path
            titles.setdefault(path.name, sample.title)
    chosen = sorted(by_file, key=lambda name: -len(by_file[name]))[:_MAX_SAMPLES]
    return [page.comparison_card(titles[name], "", by_file[name]) for name in chosen]
