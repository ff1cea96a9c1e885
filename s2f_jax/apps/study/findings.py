"""What a study found: the figures of report.json."""

import collections
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from s2f_jax.apps.study import estimates
from s2f_jax.apps.study.ballots import Ballot, Poll, Voter
from s2f_jax.apps.study.document import Study, VideoPair
from s2f_jax.reports import paper

_CONVENTIONS = {
    "exact interval": "95 %, Clopper-Pearson over votes, as if each came from another person",
    "clustered interval": "95 %, votes of one person being alike: Clopper-Pearson at the effective"
    " number of votes, by their variance over people (Korn and Graubard 1998); in 2,000 simulated"
    " studies of each of several designs it covered the truth in 93 to 97 %",
    "p": "exact binomial test, two-sided, against 50 %, over votes",
    "clips": "taken as they are: the intervals speak of other people, not of other clips",
    "comparisons": "each by itself, without a correction for how many there are",
}
_OF_RATES = {
    "d'": "z(hits) - z(false alarms), rates pooled over people, with the log-linear correction"
    " (Hautus 1995); its 95 % interval by the rates' variance over people",
}


def of(poll: Poll) -> dict[str, Any]:
    """What report.json holds, but for the paragraph of methods."""
    study = poll.study
    counted = [voter for voter in poll.voters if not voter.reasons]
    analyse = _preference if study.kind == "preference" else _turing
    main, everyone = analyse(study, counted), analyse(study, poll.voters)
    reasons = collections.Counter(reason for voter in poll.voters for reason in voter.reasons)
    return {
        "study": _about(study),
        "participants": {
            "began": len(poll.voters) + poll.withdrawn,
            "withdrawn": poll.withdrawn,
            "finished": sum(voter.participant.finished is not None for voter in poll.voters),
            "counted": len(counted),
            "left_out": len(poll.voters) - len(counted),
            "reasons": dict(reasons.most_common()),
        },
        "main": main,
        "everyone": everyone,
        "power": _power(main),
        "paper": paper.USER_STUDY if study.kind == "preference" else paper.TURING_TEST,
        "conventions": _CONVENTIONS | (_OF_RATES if study.kind == "turing" else {}),
    }


def _about(study: Study) -> dict[str, Any]:
    scored = [pair for pair in study.pairs.values() if not pair.catch]
    shown = {video.name: video for pair in scored for video in (pair.a, pair.b)}.values()
    return {
        "kind": study.kind,
        "made": study.made,
        "version": study.version,
        "sha256": study.sha256,
        "seed": study.seed,
        "methods": list(study.methods),
        "question": study.question,
        "pairs": len(scored),
        "clips": len({pair.a.clip for pair in scored}),
        "catches": len(study.pairs) - len(scored),
        "parts": study.parts,
        "trials": len(study.slots[0]),
        "slots": len(study.slots),
        "exclusion": {
            "failed_catches": study.exclusion.failed_catches,
            "unfinished": study.exclusion.unfinished,
            "one_side": study.exclusion.one_side,
        },
        "seconds": [min(v.seconds for v in shown), max(v.seconds for v in shown)],
        "sizes": sorted({f"{v.width}x{v.height}" for v in shown}),
    }


def _preference(study: Study, voters: Sequence[Voter]) -> dict[str, Any]:
    pairs = [pair for pair in study.pairs.values() if not pair.catch]
    compared = [
        _comparison(a, b, list(of_two), voters)
        for (a, b), of_two in groupby(
            sorted(pairs, key=_methods_in_order(study)), lambda pair: (pair.a.method, pair.b.method)
        )
    ]
    catches = [b.chosen == b.trial.pair.a for v in voters for b in v.ballots if b.trial.pair.catch]
    counts = [
        [of_pair["wins"], of_pair["votes"] - of_pair["wins"]]
        for c in compared
        for of_pair in c["pairs"]
    ]
    return {
        "comparisons": compared,
        "user": {
            method: _share(
                voters,
                lambda b, m=method: b.chosen.method == m,
                lambda b, m=method: m in _methods(b),
            )
            for method in study.methods
        },
        "left": _share(voters, lambda b: b.vote.choice == "left"),
        "catches": {"passed": sum(catches), "votes": len(catches)},
        **_how(voters, counts),
    }


def _comparison(
    a: str, b: str, pairs: Sequence[VideoPair], voters: Sequence[Voter]
) -> dict[str, Any]:
    """How often a was preferred to b."""

    def won(ballot: Ballot) -> bool:
        return ballot.chosen.method == a

    def among(ballot: Ballot) -> bool:
        return _methods(ballot) == (a, b)

    return {
        "a": a,
        "b": b,
        **_share(voters, won, among),
        "sides": {
            side: _share(voters, won, lambda x, p=place: among(x) and x.trial.videos[p].name == x.trial.pair.a.name)
            for place, side in enumerate(("left", "right"))
        },
        "pairs": [
            {"pair": pair.name, "clip": pair.a.clip}
            | _of_votes(voters, won, lambda x, p=pair: x.trial.pair.name == p.name)
            for pair in pairs
        ],
        "voters": _each(voters, won, among),
    }  # fmt: skip


def _turing(study: Study, voters: Sequence[Voter]) -> dict[str, Any]:
    def correct(ballot: Ballot) -> bool:
        return ballot.correct

    def said_real(ballot: Ballot) -> bool:
        return ballot.vote.choice == "real"

    def real(ballot: Ballot) -> bool:
        return ballot.trial.videos[0].name == ballot.trial.pair.a.name

    def generated(ballot: Ballot) -> bool:
        return not real(ballot)

    seen = [voter for voter in voters if voter.ballots]
    tallies = [_tally(seen, said_real, kind) for kind in (real, generated)]
    items: list[dict[str, Any]] = []
    for pair in study.pairs.values():
        items.append({"pair": pair.name, "clip": pair.a.clip})
        for name, video in (("real", pair.a), ("generated", pair.b)):
            items[-1][name] = _of_votes(
                voters, said_real, lambda b, v=video: b.trial.videos[0].name == v.name
            )
    said = [item[kind] for item in items for kind in ("real", "generated")]
    return {
        "correct": _share(voters, correct),
        "hits": _share(voters, said_real, real),
        "false_alarms": _share(voters, said_real, generated),
        "said_real": _share(voters, said_real),
        "d_prime": estimates.d_prime(*tallies[0], *tallies[1]),
        "clips": items,
        "voters": _each(voters, correct, _scored),
        **_how(
            voters, [[of_video["wins"], of_video["votes"] - of_video["wins"]] for of_video in said]
        ),
    }


def _how(voters: Sequence[Voter], counts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """How people voted; counts: of each item, [answers]."""
    votes = [b.vote for voter in voters for b in voter.ballots if _scored(b)]
    seconds = np.array([vote.ms / 1000 for vote in votes])
    plays = [n for vote in votes for n in vote.plays]
    quartiles = np.percentile(seconds, [25, 50, 75]).tolist() if votes else [None] * 3
    return {
        "votes": len(votes),
        "agreement": estimates.agreement(np.array(counts, float)),
        "seconds": dict(zip(("quarter", "median", "three_quarters"), quartiles, strict=True)),
        "played_again": sum(n > 1 for n in plays) / len(plays) if plays else None,
    }


def _scored(ballot: Ballot) -> bool:
    return not ballot.trial.pair.catch


def _methods(ballot: Ballot) -> tuple[str, str]:
    """The two that were held against each other; of a catch pair none of the study's."""
    return ballot.trial.pair.a.method, ballot.trial.pair.b.method


def _methods_in_order(study: Study) -> Callable[[VideoPair], tuple[int, int]]:
    place = {method: i for i, method in enumerate(study.methods)}
    return lambda pair: (place[pair.a.method], place[pair.b.method])


def _tally(
    voters: Sequence[Voter], won: Callable[[Ballot], bool], among: Callable[[Ballot], bool]
) -> tuple[np.ndarray, np.ndarray]:
    """Wins and votes of each voter, [N]."""
    of_each = [[won(b) for b in voter.ballots if _scored(b) and among(b)] for voter in voters]
    return np.array([sum(each) for each in of_each]), np.array([len(each) for each in of_each])


def _share(
    voters: Sequence[Voter],
    won: Callable[[Ballot], bool],
    among: Callable[[Ballot], bool] = _scored,
) -> dict[str, Any]:
    return estimates.share(*_tally(voters, won, among))


def _of_votes(
    voters: Sequence[Voter], won: Callable[[Ballot], bool], among: Callable[[Ballot], bool]
) -> dict[str, Any]:
    """Of what each person sees once at most, so that its votes are independent."""
    found = _share(voters, won, among)
    return {key: found[key] for key in ("wins", "votes", "share", "exact")}


def _each(
    voters: Sequence[Voter], won: Callable[[Ballot], bool], among: Callable[[Ballot], bool]
) -> list[dict[str, int]]:
    wins, votes = _tally(voters, won, among)
    return [
        {"participant": voter.participant.number, "wins": int(w), "votes": int(n)}
        for voter, w, n in zip(voters, wins, votes, strict=True)
        if n
    ]


def _power(main: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each comparison, how many independent votes its votes are worth, and what those can tell."""
    found = []
    for of_one in main.get("comparisons", [main.get("correct")]):
        effective = of_one["votes"] / of_one["effect"] if of_one["effect"] else None
        detects = estimates.detectable(effective) if effective else None
        found.append({"votes": of_one["votes"], "effective": effective, "detects": detects})
    return found
