"""`s2f study export`: every vote as a row of a CSV file, for other statistics programs."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from data_pipelines.common.files import csv_text, write_atomically
from s2f_jax.apps.study import ballots

_COMMON = {
    "participant": "number of the participant: 1, 2, ... in the order in which they began; one that is"
    " missing has withdrawn",
    "slot": "index in study.json's slots: the participant's list of trials",
    "trial": "position of the trial in the participant's order, from 1",
    "pair": "name of the pair in study.json",
    "catch": "1: a catch pair, which is not scored; 0: any other",
    "clip": "name of the clip",
}
_PREFERENCE = {
    "left": "method of the video on the left; real: a recording; frozen: its first frame",
    "right": "method of the video on the right",
    "choice": "left or right",
    "chosen": "method of the video that was chosen",
    "plays_left": "how often the left video was played to its end",
    "plays_right": "how often the right video was played to its end",
}
_TURING = {
    "method": "what made the video; real: a recording",
    "choice": "real or generated",
    "correct": "1: the choice is right; 0: it is wrong",
    "plays": "how often the video was played to its end",
}
_VOTE = {
    "ms": "milliseconds from showing the trial to the vote",
    "at": "when the vote was stored, UTC",
    "left_out": "why the participant is excluded from the main analysis, by the rule in study.json;"
    " empty: they are not",
}


def export_votes(study: str, output: str | None = None) -> epath.Path:
    """Writes votes.csv and a README.md of its columns; neither holds a participant's code.

    Args:
      study: The study's folder.
      output: Folder to write; None: export/ in the study's folder.

    Returns:
      The folder written.

    Raises:
      UserError: There is no such study, it was changed, nobody has voted, or it cannot be written.
    """
    results = ballots.read_results(study)
    columns = _COMMON | (_PREFERENCE if _is_preference(results) else _TURING) | _VOTE
    rows = (_row(one, vote) for one in results.participants for vote in one.responses)
    folder = epath.Path(output) if output else epath.Path(study) / "export"
    write_atomically(folder / "README.md", _readme(results, columns).encode())
    write_atomically(folder / "votes.csv", csv_text(rows, list(columns)).encode())
    return folder


def _is_preference(results: ballots.StudyResults) -> bool:
    return results.study.kind == "preference"


def _row(participant: ballots.ParticipantResult, response: ballots.TrialResponse) -> dict[str, Any]:
    vote, pair, videos = response.vote, response.trial.pair, response.trial.videos
    row = {
        "participant": vote.participant,
        "slot": participant.participant.trial_list,
        "trial": vote.trial + 1,
        "pair": pair.name,
        "catch": int(pair.catch),
        "clip": pair.a.clip,
        "choice": vote.choice,
        "ms": vote.ms,
        "at": vote.at,
        "left_out": "; ".join(participant.exclusion_reasons),
    }
    if len(videos) == 1:  # A Turing test.
        correct = int(response.correct)
        return row | {"method": videos[0].method, "correct": correct, "plays": vote.plays[0]}
    return row | {
        "left": videos[0].method,
        "right": videos[1].method,
        "chosen": response.chosen.method,
        "plays_left": vote.plays[0],
        "plays_right": vote.plays[1],
    }


def _readme(results: ballots.StudyResults, columns: dict[str, str]) -> str:
    study, withdrawn = results.study, results.withdrawn
    lines: Sequence[str] = [
        f"# Votes of a {'preference study' if _is_preference(results) else 'Turing test'}",
        "",
        f"“{study.question}” Methods: {', '.join(study.methods)}. From study.json with the sha256",
        f"{study.sha256}, made {study.created} with s2f_jax {study.version}.",
        f"{withdrawn} {'participant has' if withdrawn == 1 else 'participants have'} withdrawn; their"
        " votes are deleted. Nothing here identifies a person.",
        "",
        "A row of `votes.csv` (UTF-8, with a header) is one vote:",
        "",
        "| column | meaning |",
        "|---|---|",
        *(f"| {name} | {meaning} |" for name, meaning in columns.items()),
    ]
    return "\n".join(lines) + "\n"
