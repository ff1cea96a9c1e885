"""`study`: asks people which of two videos looks real, or whether one is."""

from collections.abc import Sequence
from typing import Any

from data_pipelines.common.errors import UserError
from s2f_jax.cli.command import AddFlag, Command, Given, refuse_rest
from s2f_jax.cli.flags import add_address, add_limits


def add_flags(add: AddFlag) -> None:
    """Its flags; those of one action alone begin with its name in the help."""
    add(
        "action",
        choices=("new", "serve", "report", "export"),
        help="make one, let people vote, evaluate it, votes to CSV",
    )
    add("--study", required=True, metavar="DIR", help="the study's folder; for new, not there yet")
    add(
        "--output", metavar="DIR", help="of report or export; default report/ or export/ in --study"
    )
    for action, flags in _OF_ACTION.items():
        flags(_of_action(add, action))


def _add_new(add: AddFlag) -> None:
    flags = {
        "--kind": {"choices": ("preference", "turing"), "help": "which of two, or real or not"},
        "--methods": {
            "nargs": "+",
            "action": "extend",
            "metavar": "NAME=DIR",
            "help": "folders of equally named videos; two or more, or one for a Turing test",
        },
        "--truth": {"metavar": "DIR", "help": "the real videos, equally named; more of them make"
                    " catch pairs"},
        "--seed": {"type": int, "help": "of all that is drawn; default 0"},
        "--clips": {"type": int, "metavar": "N", "help": "so many, drawn by the seed; default all"},
        "--parts": {"type": int, "metavar": "N", "help": "1, 2 or 4: each person sees one of so"
                    " many parts; default 1"},
        "--against": {"metavar": "NAME", "help": "only pairs with this method"},
        "--catches": {"type": int, "metavar": "N", "help": "pairs of a real video and its frozen"
                      " first frame; default 3, none in a Turing test"},
        "--failed_catches": {"type": int, "metavar": "N", "help": "who fails so many is left out;"
                             " default 1; 0: nobody for that"},
        "--participants": {"type": int, "metavar": "N", "help": "at most; default 240"},
        "--question": {"metavar": "TEXT", "help": "that people are asked of each pair or video"},
        "--consent": {"metavar": "FILE", "help": "the text that people agree to, instead of ours"},
    }  # fmt: skip
    for name, fields in flags.items():
        add(name, **fields)


def _add_serve(add: AddFlag) -> None:
    from s2f_jax.apps.study.limits import StudyLimits

    add_address(add)
    add("--tls_certificate", metavar="PEM", help="for https")
    limits = {
        "people": "at once",
        "idle_seconds": "without a word, after which a place is given to whoever waits",
        "requests_per_minute": "of a participant",
        "arrivals_per_minute": "of people who begin or mistype their code, from one address",
        "body_bytes": "of what a page says",
        "body_seconds": "that it may take to say it",
        "request_seconds": "that a connection may take to ask for something",
    }
    add_limits(add, StudyLimits, limits)


_OF_ACTION = {"new": _add_new, "serve": _add_serve}


def _own_flags(action: str) -> set[str]:
    """The flags that are an action's own, beside --study and --output."""
    names: set[str] = set()
    if action in _OF_ACTION:
        _OF_ACTION[action](lambda name, **_: names.add(name.removeprefix("--")))
    return names


def _of_action(add: AddFlag, action: str) -> AddFlag:
    def add_to_action(name: str, **fields: Any) -> None:
        add(name, **fields | {"help": f"{action}: {fields['help']}"})

    return add_to_action


def run(given: Given, rest: Sequence[str]) -> int:
    """One action of a study, with the flags that are its own."""
    refuse_rest(rest)
    action, folder, output = given.pop("action"), given.pop("study"), given.pop("output", None)
    if others := sorted(set(given) - _own_flags(action)):
        where = next(a for a in _OF_ACTION if others[0] in _own_flags(a))
        fixed = ": a study is fixed once it is made" if where == "new" else ""
        raise UserError(f"--{others[0]} is for `study {where}`{fixed}")
    if action in _OF_ACTION:
        if output is not None:
            raise UserError(f"--output={output} is not for `study {action}`: leave it out")
        return _new(folder, given) if action == "new" else _serve(folder, given)
    if action == "export":
        from s2f_jax.apps.study import exporting

        print(f"{exporting.export(folder, output)}/votes.csv")
    else:
        from s2f_jax.apps.study import publishing

        print(publishing.markdown(publishing.publish(folder, output)))
        print(f"{output or f'{folder}/report'}/report.html")
    return 0


def _new(folder: str, given: Given) -> int:
    from s2f_jax.apps.study import making

    if missing := [name for name in ("kind", "methods", "truth") if name not in given]:
        raise UserError(f"`study new` needs --{missing[0]}: see --help")
    made = making.new(folder, **given)
    print(
        f"{folder}: {sum(not p.catch for p in made.pairs.values())} pairs,"
        f" {sum(p.catch for p in made.pairs.values())} catch pairs, {len(made.slots[0])} trials a person,"
        f" {len(made.slots)} slots; all of it is in {folder}/study.json"
    )
    return 0


def _serve(folder: str, given: Given) -> int:
    from s2f_jax.apps.study.serve import serve

    serve(folder, **given)
    return 0


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="ask people: which of two videos looks real, and is one real at all",
    example="new --study=runs/study --kind=preference --methods ours=DIR baseline=DIR --truth=DIR",
    atomic=True,
)
