"""`study`: runs a user study: which of two videos looks more real, or whether one is real."""

from collections.abc import Callable, Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.cli.command import AddFlag, Command, Flags, reject_extra
from s2f_jax.cli.flags import add_limits, add_listen_options, pop_limits


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags; the help of an action's own ones begins with its name.

    Args:
      add: argparse's add_argument.
    """
    add(
        "action",
        choices=("new", "serve", "report", "export"),
        help="new: make a study; serve: let people take part; report: analyze the votes; export: write"
        " the votes as CSV",
    )
    add("--study", required=True, metavar="DIR", help="folder of the study; for new, a new folder")
    add(
        "--output",
        metavar="DIR",
        help="folder to write for report and export; default: report/ or export/ in --study",
    )
    for action, add_own_flags in _OWN_FLAGS.items():
        add_own_flags(_prefixed(add, action))


def _prefixed(add: AddFlag, action: str) -> AddFlag:
    def add_to_action(name: str, *, help: str, **options: object) -> None:
        add(name, help=f"{action}: {help}", **options)

    return add_to_action


def _add_new(add: AddFlag) -> None:
    add(
        "--kind",
        choices=("preference", "turing"),
        help="which of two videos looks more real, or whether one is real",
    )
    add(
        "--methods",
        nargs="+",
        action="extend",
        metavar="NAME=DIR",
        help="folders of equally named videos: two or more, or one for a Turing test",
    )
    add(
        "--truth",
        metavar="DIR",
        help="folder of the real videos, equally named; further ones serve as catch pairs",
    )
    add("--seed", type=int, help="of all that is shuffled, at least 0; default: 0")
    add("--clips", type=int, metavar="N", help="number of clips, drawn by the seed; default: all")
    add(
        "--parts",
        type=int,
        metavar="N",
        help="1, 2 or 4: divide the pairs into parts, of which each participant sees one; default: 1",
    )
    add("--against", metavar="NAME", help="only pairs with this method; default: all pairs")
    add(
        "--catches",
        type=int,
        metavar="N",
        help="number of catch pairs, a real video and its frozen first frame; default: 3, none in a"
        " Turing test",
    )
    add(
        "--failed_catches",
        type=int,
        metavar="N",
        help="exclude who fails N catch pairs or more; 0: nobody; default: 1",
    )
    add(
        "--participants",
        type=int,
        metavar="N",
        help="most participants, at least 1; default: 240",
    )
    add("--question", metavar="TEXT", help="question asked in each trial")
    add("--consent", metavar="FILE", help="text that participants agree to; default: ours")


def _add_serve(add: AddFlag) -> None:
    add_listen_options(add)
    descriptions = {
        "people": "most participants at once",
        "idle_seconds": "seconds without a request after which a place is given to whoever waits",
        "requests_per_minute": "most requests of a participant a minute",
        "arrivals_per_minute": "most new participants and mistyped codes a minute from one address",
        "body_bytes": "most bytes of a request",
        "body_seconds": "seconds that a request's body may take to arrive",
        "request_seconds": "seconds that a connection may take to send a request",
    }
    add_limits(add, StudyLimits, descriptions)


_OWN_FLAGS: dict[str, Callable[[AddFlag], None]] = {"new": _add_new, "serve": _add_serve}


def _own_flag_names(action: str) -> set[str]:
    names: set[str] = set()
    if action in _OWN_FLAGS:
        _OWN_FLAGS[action](lambda name, **_: names.add(name.removeprefix("--")))
    return names


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Runs one action of a study.

    Args:
      flags: The flags that were given.
      extra: Must be empty.

    Returns:
      Exit code.

    Raises:
      UserError: A flag belongs to another action, or is missing.
    """
    reject_extra(extra)
    action, folder, output = flags.pop("action"), flags.pop("study"), flags.pop("output", None)
    if wrong := sorted(set(flags) - _own_flag_names(action)):
        owner = next(a for a in _OWN_FLAGS if wrong[0] in _own_flag_names(a))
        fixed = "; a study cannot be changed once it is made" if owner == "new" else ""
        raise UserError(f"--{wrong[0]}: is a flag of `study {owner}`{fixed}")
    if output is not None and action in _OWN_FLAGS:
        raise UserError(f"--output={output}: is not a flag of `study {action}`; leave it out")
    if action == "new":
        _new(folder, flags)
    elif action == "serve":
        from s2f_jax.apps.study.serve import serve

        serve(folder, pop_limits(flags, StudyLimits), **flags)
    elif action == "export":
        from s2f_jax.apps.study import exporting

        print(f"{exporting.export_votes(folder, output)}/votes.csv")
    else:
        from s2f_jax.apps.study import publishing

        print(publishing.markdown(publishing.write_report(folder, output)))
        print(f"{output or f'{folder}/report'}/report.html")
    return 0


def _new(folder: str, flags: Flags) -> None:
    from s2f_jax.apps.study import making

    if missing := [name for name in ("kind", "methods", "truth") if name not in flags]:
        raise UserError(f"--{missing[0]}: is required by `study new`; see --help")
    study = making.create_study(folder, **flags)
    pairs = len(study.scored_pairs)
    print(
        f"{folder}: {pairs} pairs, {len(study.pairs) - pairs} catch pairs,"
        f" {len(study.trial_lists[0])} trials for each of {len(study.trial_lists)} participants; all is"
        f" fixed in {folder}/study.json"
    )


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="run a user study: compare videos, or tell real from generated ones",
    example="new --study=runs/study --kind=preference --methods ours=DIR baseline=DIR --truth=DIR",
    atomic=True,
)
