"""One report of many runs that were scored on the same clips."""

import collections
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.reports import labels, page, plots, verdicts
from s2f_jax.reports.scores import ClipScores, Evaluation, read_report, write_files
from s2f_jax.reports.verdicts import BASELINE, MODEL, SANITY

# Conventions that may differ between runs.
PER_RUN_CONVENTIONS = ("run", "checkpoint", "config", "commit", "faces_unseen")
_SAMPLES = 4  # Clips shown side by side.


def write_table(
    output: epath.PathLike,
    runs: Mapping[str, epath.PathLike],
    *,
    with_sequence: Collection[str] = (),
    failed: Collection[str] = (),
) -> dict[str, Any]:
    """Writes a report of many runs into the folder `output`; returns what its report.json holds.

    runs: row -> the run's evaluation folder, `<workdir>/evaluation/<split>`. Its model is the row; the rows
    static_baseline and model come first, others in the order given, and the sanity rows are those
    of the run `model`, else of the first. A run without a report is named as such in the report.
    with_sequence: the rows whose runs have a sequence discriminator. failed: those whose training
    did, of which an older report counts for nothing.

    Raises:
      UserError: no run has a report, one is damaged, or two are of different corpora, splits, conventions,
        readers or clips.
    """
    first = [row for row in (BASELINE, MODEL) if row in runs]
    order = [*first, *(row for row in runs if row not in first)]
    done, unfinished = {}, {}
    for row in order:
        folder = epath.Path(runs[row])
        if row in failed:
            unfinished[row] = "its training failed"
        elif (folder / "report.json").exists():
            done[row] = read_report(folder)
        else:
            unfinished[row] = _progress(folder.parent.parent)
    if not done:
        raise UserError(
            f"none of the runs {', '.join(order)} has been scored: run `evaluate` first"
        )
    names = MODEL if MODEL in done else next(iter(done))
    _refuse_others(names, done)
    scores = _rows(names, done)
    by_row = _by_row(scores)
    more = {
        "unfinished": unfinished,
        "orderings": verdicts.check_claims(by_row, with_sequence),
    }
    if BASELINE in done:
        more |= {"baseline": BASELINE, "differences": _differences(by_row)}
    one = done[names]
    shared = {key: text for key, text in one.conventions.items() if key not in PER_RUN_CONVENTIONS}
    conventions = shared | {
        "rows": f"{', '.join(SANITY)}: of the run {names}; every other row: the model of its run",
        "differences": "by clips that both could be scored on; speakers, then clips drawn together",
    }
    for key in PER_RUN_CONVENTIONS:
        if said := {row: of.conventions[key] for row, of in done.items() if key in of.conventions}:
            conventions[key] = "; ".join(f"{row}: {text}" for row, text in said.items())
    logs = {row: epath.Path(runs[row]).parent.parent / "metrics.jsonl" for row in done}
    training = {row: log for row, log in logs.items() if log.exists()}
    together = Evaluation(one.corpus, one.split, conventions, scores)
    return write_files(output, together, training, _videos(done), one.figures, more)


def _progress(workdir: epath.Path) -> str:
    """How far a run without a report has come."""
    if not (workdir / "config.json").exists():
        return "not begun"
    steps = max((event["step"] for event in plots.read_log(workdir / "metrics.jsonl")), default=0)
    return f"trained for {steps} steps so far, and not scored"


def _refuse_others(names: str, done: Mapping[str, Evaluation]) -> None:
    """Raises UserError unless all were scored on the same clips in the same way."""
    one = done[names]
    for row, other in done.items():
        if not any(clip.row == "model" for clip in other.scores):
            raise UserError(f"the evaluation of {row} has no row 'model': give that of a run")
        for what, mine, theirs in [
            ("corpus", one.corpus, other.corpus),
            ("split", one.split, other.split),
            *_conventions(one, other),
        ]:
            if mine != theirs:
                raise UserError(
                    f"the runs {names} and {row} cannot stand in one table: {what} is {mine!r}"
                    f" in the first and {theirs!r} in the second; score both in the same way"
                )
        mine, theirs = ({(c.clip, c.speaker) for c in each.scores} for each in (one, other))
        if mine != theirs:
            clip, _ = min(mine ^ theirs)
            where = names if clip in {name for name, _ in mine} else row
            raise UserError(
                f"the runs {names} and {row} cannot stand in one table: they were scored on"
                f" different clips ({len(mine)} and {len(theirs)}; {clip} is in {where} alone or of"
                " another speaker); score both on the same shards"
            )


def _conventions(one: Evaluation, other: Evaluation) -> list[tuple[str, Any, Any]]:
    names = [
        name for name in {**one.conventions, **other.conventions} if name not in PER_RUN_CONVENTIONS
    ]
    return [
        (n, one.conventions.get(n, "not said"), other.conventions.get(n, "not said")) for n in names
    ]


def _rows(names: str, done: Mapping[str, Evaluation]) -> list[ClipScores]:
    """All scores, under the rows of the table and in its order."""
    of_one = _by_row(done[names].scores)
    scores = [clip for row in SANITY for clip in of_one.get(row, [])]
    for row, evaluation in done.items():
        of_run = _by_row(evaluation.scores).get("model", [])
        scores += [dataclasses.replace(clip, row=row) for clip in of_run]
    return scores


def _by_row(scores: Sequence[ClipScores]) -> dict[str, list[ClipScores]]:
    rows = collections.defaultdict(list)
    for clip in scores:
        rows[clip.row].append(clip)
    return dict(rows)


def _differences(by_row: Mapping[str, Sequence[ClipScores]]) -> dict[str, dict[str, Any]]:
    """Row -> metric -> the difference to the baseline."""
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


def _videos(done: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """Cards of the clips that most runs have a sample of."""
    by_file = collections.defaultdict(dict)
    titles = {}
    for row, evaluation in done.items():
        for sample in evaluation.samples:
            path = epath.Path(sample.path)
            by_file[path.name][row] = path
            titles.setdefault(path.name, sample.title)
    chosen = sorted(by_file, key=lambda name: -len(by_file[name]))[:_SAMPLES]
    return [page.comparison_card(titles[name], "", by_file[name]) for name in chosen]
