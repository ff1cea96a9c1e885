"""`study export`: every vote as a line of CSV, for another program to evaluate."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from etils import epath

from data_pipelines.common.files import write_atomically
from s2f_jax.apps.study import ballots
from s2f_jax.apps.study.ballots import Ballot, Poll, Voter

_OF_ALL = {
    "participant": "number of the participant: 1, 2, ... in the order in which they began; one that is"
    " missing has withdrawn",
    "slot": "the participant's slot in study.json, which fixes what they saw",
    "trial": "place of the trial in the participant's order, from 1",
    "pair": "name of the pair in study.json",
    "catch": "1: a catch pair, which does not count; 0: any other",
    "clip": "name of the clip",
}
_OF_PREFERENCE = {
    "left": "method of the video on the left; real: a recording; frozen: its first frame",
    "right": "method of the video on the right",
    "choice": "left or right",
    "chosen": "method of the video that was chosen",
    "plays_left": "how often the left video was played to its end",
    "plays_right": "how often the right one was",
}
_OF_TURING = {
    "method": "what made the video; real: a recording",
    "choice": "real or generated",
    "correct": "1: it is what the participant said; 0: it is not",
    "plays": "how often the video was played to its end",
}
_OF_VOTE = {
    "ms": "milliseconds from when the trial was shown to the vote",
    "at": "when the vote was stored, UTC",
    "left_out": "why the participant's votes are left out of the main figures, by the rule in"
    " study.json; empty: they count",
}


def export(study: str, output: str | None = None) -> epath.Path:
    """Writes votes.csv and a README.md of its columns into `output`, by default export/ of the
    study's folder -> that folder. No code of a participant is in it.

    Raises:
      UserError: there is no such study, it was changed, nobody has voted, or nothing can be written.
    """
    poll = ballots.read_ballots(study)
    preference = poll.study.kind == "preference"
    columns = _OF_ALL | (_OF_PREFERENCE if preference else _OF_TURING) | _OF_VOTE
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_lines(poll))
    folder = epath.Path(output) if output else epath.Path(study) / "export"
    write_atomically(folder / "README.md", _readme(poll, columns).encode())
    write_atomically(folder / "votes.csv", file.getvalue().encode())
    return folder


def _lines(poll: Poll) -> Iterator[dict[str, Any]]:
    of_kind = _preference if poll.study.kind == "preference" else _turing
    for voter in poll.voters:
        for ballot in voter.ballots:
            yield _of_all(voter, ballot) | of_kind(ballot)


def _of_all(voter: Voter, ballot: Ballot) -> dict[str, Any]:
    vote, pair = ballot.vote, ballot.trial.pair
    return {
        "participant": vote.participant,
        "slot": voter.participant.slot,
        "trial": vote.trial + 1,
        "pair": pair.name,
        "catch": int(pair.catch),
        "clip": pair.a.clip,
        "choice": vote.choice,
        "ms": vote.ms,
        "at": vote.at,
        "left_out": "; ".join(voter.reasons),
    }


def _preference(ballot: Ballot) -> dict[str, Any]:
    left, right = ballot.trial.videos
    plays_left, plays_right = ballot.vote.plays
    return {
        "left": left.method,
        "right": right.method,
        "chosen": ballot.chosen.method,
        "plays_left": plays_left,
        "plays_right": plays_right,
    }


def _turing(ballot: Ballot) -> dict[str, Any]:
    return {
        "method": ballot.trial.videos[0].method,
        "correct": int(ballot.correct),
        "plays": ballot.vote.plays[0],
    }


def _readme(poll: Poll, columns: dict[str, str]) -> str:
    study = poll.study
    lines: Sequence[str] = [
        f"# Votes of a {'preference study' if study.kind == 'preference' else 'Turing test'}",
        "",
        f"“{study.question}” Methods: {', '.join(study.methods)}. Of study.json with the sha256",
        f"{study.sha256}, made {study.made} with s2f_jax {study.version}.",
        f"{poll.withdrawn} {'person has' if poll.withdrawn == 1 else 'people have'} withdrawn; their"
        " votes are deleted. Nothing in it tells who anybody is.",
        "",
        "A line of `votes.csv` (UTF-8, with a header) is one vote:",
        "",
        "| column | what |",
        "|---|---|",
        *(f"| {name} | {what} |" for name, what in columns.items()),
    ]
    return "\n".join(lines) + "\n"
