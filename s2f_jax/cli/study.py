"""`study`: runs a user study: which of two videos looks more real, or whether one is real."""

from collections.abc import Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.cli.command import Command, Flag, Flags, flag, reject_extra
from s2f_jax.cli.flags import LISTEN, limit_flags, pop_limits

# The flags of one action alone.
_OWN_FLAGS: dict[str, Sequence[Flag]] = {
    "new": (
        flag(
            "--kind",
            "which of two videos looks more real, or whether one is real",
            choices=("preference", "turing"),
        ),
        flag(
            "--methods NAME=DIR",
            "folders of equally named videos: two or more, or one for a Turing test",
            nargs="+",
            action="extend",
        ),
        flag(
            "--truth DIR",
            "folder of the real videos, equally named; further ones serve as catch pairs",
        ),
        flag("--seed N", "seed of all random orders, at least 0; default: 0", type=int),
        flag("--clips N", "number of clips, drawn by the seed; default: all", type=int),
        flag(
            "--parts N",
            "1, 2 or 4: split the pairs into N parts; each participant judges the pairs of one part; default:"
            " 1",
            type=int,
        ),
        flag(
            "--against NAME",
            "compare each other method only with this one; default: all methods with each other",
        ),
        flag(
            "--catches N",
            "number of attention checks (catch pairs): a real video beside its frozen first frame, with an"
            " obvious answer; default: 3, none in a Turing test",
            type=int,
        ),
        flag(
            "--failed_catches N",
            "exclude participants who answer N or more attention checks wrongly; 0: exclude nobody;"
            " default: 1",
            type=int,
        ),
        flag(
            "--participants N", "largest number of participants, at least 1; default: 240", type=int
        ),
        flag("--question TEXT", "question asked in each trial"),
        flag("--consent FILE", "text that participants agree to; default: ours"),
    ),
    "serve": (*LISTEN, *limit_flags(StudyLimits)),
    "report": (),
    "export": (),
}


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
    owners = {own.name: owner for owner, own_flags in _OWN_FLAGS.items() for own in own_flags}
    if wrong := sorted(name for name in flags if owners[name] != action):
        owner = owners[wrong[0]]
        fixed = "; a study cannot be changed once it is made" if owner == "new" else ""
        raise UserError(f"--{wrong[0]}: is a flag of `study {owner}`{fixed}")
    if output is not None and action in ("new", "serve"):
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
    flags=(
        flag(
            "action",
            "new: make a study; serve: let people take part; report: analyze the votes; export: write"
            " the votes as CSV",
            choices=tuple(_OWN_FLAGS),
        ),
        flag("--study DIR", "folder of the study; for new, a new folder", required=True),
        flag("--output DIR", "folder for report or export; default: report/ or export/ in --study"),
        *(
            Flag(names, options | {"help": f"{action}: {options['help']}"})
            for action, own_flags in _OWN_FLAGS.items()
            for names, options in own_flags
        ),
    ),
    summary="run a user study: compare videos, or tell real from generated ones",
    example="new --study=runs/study --kind=preference --methods ours=DIR baseline=DIR --truth=DIR",
    atomic=True,
)
