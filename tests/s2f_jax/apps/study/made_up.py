"""Studies without videos, and votes in them."""

import pathlib

from s2f_jax.apps.study import document, store
from s2f_jax.apps.study.document import FROZEN, REAL, ExclusionRule, StudyVideo, VideoPair


def video(number, method, clip):
    return StudyVideo(
        f"v{number:03}", f"{number:064x}", method, clip, 3.0, 25.0, 96, 128, f"{number:064x}", None
    )


def study(folder, kind="preference", clips=4, catches=0, parts=1, participants=16, **fields):
    """A study of so many clips, in a new folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    methods = fields.pop("methods", ("ours", "base") if kind == "preference" else ("ours",))
    compared = [(a, b) for i, a in enumerate(methods) for b in methods[i + 1 :]]
    if kind == "turing":
        compared = [(REAL, methods[0])]
    pairs = []
    for clip in range(clips):
        for a, b in compared:
            n = len(pairs)
            sides = video(2 * n, a, f"clip{clip}"), video(2 * n + 1, b, f"clip{clip}")
            pairs.append(VideoPair(f"p{n + 1:02}", *sides))
    for clip in range(catches):
        sides = video(900 + 2 * clip, REAL, f"x{clip}"), video(901 + 2 * clip, FROZEN, f"x{clip}")
        pairs.append(VideoPair(f"c{clip + 1}", *sides, catch=True))
    settings = {
        "sha256": "",
        "kind": kind,
        "created": "2026-01-02T03:04:05+00:00",
        "version": "0.1.0",
        "seed": 7,
        "methods": methods,
        "parts": parts,
        "question": "Which one?",
        "consent": "I agree.",
        "exclusion": ExclusionRule(1 if catches else 0, True, kind == "preference"),
        "pairs": {pair.name: pair for pair in pairs},
    } | fields
    trial_lists = document.make_trial_lists(settings["seed"], pairs, parts, participants)
    made = document.Study(folder, trial_lists=trial_lists, **settings)
    (folder / document.FILE).write_text(document.study_json(made))
    return document.read_study(folder)


def answer(opened, made, choose, people=1, max_trials=None, ms=1000):
    """Lets people vote -> their codes; choose(person, trial) gives the answer."""
    codes = []
    for person in range(people):
        who = opened.register()
        codes.append(who.code)
        for number, trial in enumerate(made.trials(who.trial_list)[:max_trials]):
            plays = [1] * len(trial.videos)
            opened.add_vote(who.code, number, choose(person, trial), plays, ms)
    return codes


def prefer(method):
    """The side where the method is, and in a catch pair the real video's."""
    wanted = {method, REAL}
    return lambda person, trial: "left" if trial.videos[0].method in wanted else "right"


def study_with_votes(folder, choose, people=8, **fields):
    """A study in which so many people voted."""
    made = study(folder, **fields)
    with store.Store(made) as opened:
        opened._db.execute("PRAGMA synchronous = OFF")  # A busy disk would take minutes.
        answer(opened, made, choose, people)
    return made
