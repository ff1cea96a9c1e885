"""The analysis of a study: the figures of report.json."""

import collections
import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from s2f_jax.apps.study import estimates
from s2f_jax.apps.study.ballots import ParticipantResult, StudyResults, TrialResponse
from s2f_jax.apps.study.document import Study, VideoPair
from s2f_jax.reports import paper

Participants = Sequence[ParticipantResult]
Predicate = Callable[[TrialResponse], bool]

_CONVENTIONS = {
    "exact interval": "95 %, Clopper-Pearson over votes, as if each came from another person",
    "clustered interval": "95 %, votes of one person being alike: Clopper-Pearson at the effective"
    " number of votes, by their variance over people (Korn and Graubard 1998); in 2,000 simulated"
    " studies of each of several designs it covered the truth in 93 to 97 %",
    "p": "exact binomial test, two-sided, against 50 %, over votes",
    "clips": "taken as they are: the intervals speak of other people, not of other clips",
    "comparisons": "each by itself, without a correction for how many there are",
}
_D_PRIME_CONVENTIONS = {
    "d'": "z(hits) - z(false alarms), rates pooled over people, with the log-linear correction"
    " (Hautus 1995); its 95 % interval by the rates' variance over people",
}


def analyze(results: StudyResults) -> dict[str, Any]:
    """Analyzes the votes of a study.

    Args:
      results: All responses.

    Returns:
      The contents of report.json, without the paragraph of methods.
    """
    study, everyone = results.study, results.participants
    included = [one for one in everyone if not one.exclusion_reasons]
    analyze_kind = _analyze_preference if study.kind == "preference" else _analyze_turing
    main = analyze_kind(study, included)
    reasons = collections.Counter(reason for one in everyone for reason in one.exclusion_reasons)
    return {
        "study": _describe(study),
        "participants": {
            "began": len(everyone) + results.withdrawn,
            "withdrawn": results.withdrawn,
            "finished": sum(one.participant.finished is not None for one in everyone),
            "counted": len(included),
            "left_out": len(everyone) - len(included),
            "reasons": dict(reasons.most_common()),
        },
        "main": main,
        "everyone": analyze_kind(study, everyone),
        "power": _power(main),
        "paper": paper.USER_STUDY if study.kind == "preference" else paper.TURING_TEST,
        "conventions": _CONVENTIONS | (_D_PRIME_CONVENTIONS if study.kind == "turing" else {}),
    }


def _describe(study: Study) -> dict[str, Any]:
    pairs = study.scored_pairs
    videos = [video for pair in pairs for video in (pair.a, pair.b)]
    return {
        "kind": study.kind,
        "made": study.created,
        "version": study.version,
        "sha256": study.sha256,
        "seed": study.seed,
        "methods": list(study.methods),
        "question": study.question,
        "pairs": len(pairs),
        "clips": len({pair.a.clip for pair in pairs}),
        "catches": len(study.pairs) - len(pairs),
        "parts": study.parts,
        "trials": len(study.trial_lists[0]),
        "slots": len(study.trial_lists),
        "exclusion": dataclasses.asdict(study.exclusion),
        "seconds": [min(v.seconds for v in videos), max(v.seconds for v in videos)],
        "sizes": sorted({f"{v.width}x{v.height}" for v in videos}),
    }


def _analyze_preference(study: Study, participants: Participants) -> dict[str, Any]:
    order = {method: i for i, method in enumerate(study.methods)}
    pairs = sorted(study.scored_pairs, key=lambda p: (order[p.a.method], order[p.b.method]))
    comparisons = [
        _comparison(a, b, list(group), participants)
        for (a, b), group in groupby(pairs, lambda pair: (pair.a.method, pair.b.method))
    ]
    catches = [one for p in participants for one in p.responses if one.trial.pair.catch]
    passed = [one.chosen == one.trial.pair.a for one in catches]
    return {
        "comparisons": comparisons,
        "user": {
            method: _share(
                participants,
                lambda one, m=method: one.chosen.method == m,
                lambda one, m=method: m in _methods(one),
            )
            for method in study.methods
        },
        "left": _share(participants, lambda one: one.vote.choice == "left"),
        "catches": {"passed": sum(passed), "votes": len(passed)},
        **_vote_statistics(participants, [pair for one in comparisons for pair in one["pairs"]]),
    }


def _comparison(
    a: str, b: str, pairs: Sequence[VideoPair], participants: Participants
) -> dict[str, Any]:
    # How often a was preferred to b.
    def won(response: TrialResponse) -> bool:
        return response.chosen.method == a

    def compares(response: TrialResponse, position: int | None = None) -> bool:
        a_is_there = position is None or response.trial.videos[position].method == a
        return a_is_there and _methods(response) == (a, b)

    return {
        "a": a,
        "b": b,
        **_share(participants, won, compares),
        "sides": {
            side: _share(participants, won, lambda one, p=position: compares(one, p))
            for position, side in enumerate(("left", "right"))
        },
        "pairs": [
            {"pair": pair.name, "clip": pair.a.clip}
            | _item_share(participants, won, lambda one, p=pair: one.trial.pair.name == p.name)
            for pair in pairs
        ],
        "voters": _by_participant(participants, won, compares),
    }


def _analyze_turing(study: Study, participants: Participants) -> dict[str, Any]:
    correct, real = operator.attrgetter("correct"), operator.attrgetter("showed_real")

    def says_real(response: TrialResponse) -> bool:
        return response.vote.choice == "real"

    def generated(response: TrialResponse) -> bool:
        return not response.showed_real

    voters = [one for one in participants if one.responses]
    hits, signals = _counts(voters, says_real, real)
    false_alarms, noises = _counts(voters, says_real, generated)
    clips = [
        {
            "pair": pair.name,
            "clip": pair.a.clip,
            **{
                kind: _item_share(
                    participants, says_real, lambda one, v=video: one.trial.videos[0].name == v.name
                )
                for kind, video in (("real", pair.a), ("generated", pair.b))
            },
        }
        for pair in study.pairs.values()
    ]
    items = [clip[kind] for clip in clips for kind in ("real", "generated")]
    return {
        "correct": _share(participants, correct),
        "hits": _share(participants, says_real, real),
        "false_alarms": _share(participants, says_real, generated),
        "said_real": _share(participants, says_real),
        "d_prime": estimates.d_prime(hits, signals, false_alarms, noises),
        "clips": clips,
        "voters": _by_participant(participants, correct, _is_scored),
        **_vote_statistics(participants, items),
    }


def _vote_statistics(
    participants: Participants, items: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    votes = [one.vote for p in participants for one in p.responses if _is_scored(one)]
    counts = np.array([[item["wins"], item["votes"] - item["wins"]] for item in items], float)
    seconds = np.array([vote.ms / 1000 for vote in votes])
    plays = [n for vote in votes for n in vote.plays]
    quartiles = np.percentile(seconds, [25, 50, 75]).tolist() if votes else [None] * 3
    return {
        "votes": len(votes),
        "agreement": estimates.agreement(counts),
        "seconds": dict(zip(("quarter", "median", "three_quarters"), quartiles, strict=True)),
        "played_again": sum(n > 1 for n in plays) / len(plays) if plays else None,
    }


def _is_scored(response: TrialResponse) -> bool:
    return not response.trial.pair.catch


def _methods(response: TrialResponse) -> tuple[str, str]:
    return response.trial.pair.a.method, response.trial.pair.b.method


def _counts(
    participants: Participants, won: Predicate, among: Predicate
) -> tuple[np.ndarray, np.ndarray]:
    # Wins and votes of each participant, [N].
    wins = [[won(r) for r in p.responses if _is_scored(r) and among(r)] for p in participants]
    return np.array([sum(votes) for votes in wins]), np.array([len(votes) for votes in wins])


def _share(
    participants: Participants, won: Predicate, among: Predicate = _is_scored
) -> dict[str, Any]:
    return estimates.estimate_share(*_counts(participants, won, among))


def _item_share(participants: Participants, won: Predicate, among: Predicate) -> dict[str, Any]:
    # Each participant sees an item once at most, so its votes are independent.
    share = _share(participants, won, among)
    return {key: share[key] for key in ("wins", "votes", "share", "exact")}


def _by_participant(
    participants: Participants, won: Predicate, among: Predicate
) -> list[dict[str, int]]:
    return [
        {"participant": one.participant.number, "wins": int(wins), "votes": int(votes)}
        for one, wins, votes in zip(participants, *_counts(participants, won, among), strict=True)
        if votes
    ]


def _power(main: Mapping[str, Any]) -> list[dict[str, Any]]:
    # How many independent votes the votes are worth, and which share those detect.
    power = []
    for share in main.get("comparisons", [main.get("correct")]):
        effective = share["votes"] / share["effect"] if share["effect"] else None
        detects = estimates.detectable_share(effective) if effective else None
        power.append({"votes": share["votes"], "effective": effective, "detects": detects})
    return power
