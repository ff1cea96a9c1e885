"""The commands: what each does with its flags. Their modules are imported when they run."""

import argparse
import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from data_pipelines.errors import UserError
from s2f_jax import flags

Run = Callable[[argparse.Namespace, Sequence[str]], int]  # Flags and what is none -> exit code.


def _config(options: argparse.Namespace, rest: Sequence[str]) -> Any:
    from s2f_jax import config_file

    return config_file.read(options.config, rest)


def _train(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax import cluster
    from s2f_jax.train import train

    config = _config(options, rest)
    cluster.join(options.coordinator, options.processes, options.process)
    workdir = options.workdir or f"runs/{config.name}"
    return train(config, workdir, options.data_dir, options.start_from)


def _prepare(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from data_pipelines.prepare import data_dir, prepare

    config = _config(options, rest)
    if options.check:
        from data_pipelines.check import check

        report = check(config.data, options.manual_dir, data_dir(config.data, options.data_dir))
        return 1 if report["errors"] else 0
    prepare(
        config.data,
        options.manual_dir,
        data_dir(config.data, options.data_dir),
        options.beam_pipeline_options,
    )
    return 0


def _evaluate(options: argparse.Namespace, rest: Sequence[str]) -> int:
    if options.videos:
        from s2f_jax.compare import compare

        if not (options.reference and options.output):
            raise UserError("--videos goes with --reference=DIR and --output=DIR: give them too")
        if not options.config:
            _nothing_more(rest)
        config = _config(options, rest) if options.config else None
        result = compare(options.videos, options.reference, options.output, config, options.aligned)
        _tell(result, options.output)
        return 0
    config = _config(options, rest)
    workdir = options.workdir or f"runs/{config.name}"
    of_rows = (tuple(options.rows.split(",")),) if options.rows else ()
    if of_rows and config.task != "animate":
        raise UserError(f"--rows is for the task 'animate', not {config.task!r}: leave it out")
    scoring = importlib.import_module(f"s2f_jax.{_SCORED_BY[config.task]}")
    _tell(*scoring.run(config, workdir, options.data_dir, options.split, *of_rows))
    return 0


def _tell(result: Any, output: Any) -> None:
    from s2f_jax import report

    print(report.markdown(result))
    print(f"{output}/report.html")


def _ablate(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax import ablate

    return ablate.run(
        options.config,
        rest,
        options.workdir,
        options.data_dir,
        split=options.split,
        chosen=options.variants,
        show=options.print,
    )


_SCORED_BY = {"animate": "evaluate", "lipread": "readers.reading", "sync": "readers.offsets"}


def _benchmark(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax import benchmark

    benchmark.run(
        _config(options, rest),
        options.data_dir,
        json_file=options.json,
        compare=options.compare,
        only=options.only,
        seconds=options.seconds,
        manual_dir=options.manual_dir,
    )
    return 0


def _convert(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax import convert

    if bool(options.sda) == bool(options.checkpoint):
        raise UserError("give --sda=FILE for a run, or --checkpoint=DIR for the way back")
    if options.sda:
        options.config = options.config or convert.config_of(options.sda)
        convert.from_sda(options.sda, options.output, _config(options, rest))
    else:
        _nothing_more(rest)
        convert.to_sda(options.checkpoint, options.output)
    return 0


def _study(options: argparse.Namespace, rest: Sequence[str]) -> int:
    _nothing_more(rest)
    given = vars(options)
    action, folder, output = (given.pop(name) for name in ("action", "study", "output"))
    if others := sorted(set(given) - flags.of_study(action)):
        where = next(a for a in flags.STUDY if others[0] in flags.of_study(a))
        fixed = ": a study is fixed once it is made" if where == "new" else ""
        raise UserError(f"--{others[0]} is for `study {where}`{fixed}")
    if action in flags.STUDY:
        if output is not None:
            raise UserError(f"--output={output} is not for `study {action}`: leave it out")
        return _new_study(folder, given) if action == "new" else _serve_study(folder, given)
    if action == "export":
        from s2f_jax.study import exporting

        print(f"{exporting.export(folder, output)}/votes.csv")
    else:
        from s2f_jax.study import publishing

        print(publishing.markdown(publishing.publish(folder, output)))
        print(f"{output or f'{folder}/report'}/report.html")
    return 0


def _new_study(folder: str, given: dict[str, Any]) -> int:
    from s2f_jax.study import making

    if missing := [name for name in ("kind", "methods", "truth") if name not in given]:
        raise UserError(f"`study new` needs --{missing[0]}: see --help")
    made = making.new(folder, **given)
    print(
        f"{folder}: {sum(not p.catch for p in made.pairs.values())} pairs,"
        f" {sum(p.catch for p in made.pairs.values())} catch pairs, {len(made.slots[0])} trials a person,"
        f" {len(made.slots)} slots; all of it is in {folder}/study.json"
    )
    return 0


def _serve_study(folder: str, given: dict[str, Any]) -> int:
    from s2f_jax.web.study_serve import serve

    serve(folder, **given)
    return 0


def _nothing_more(rest: Sequence[str]) -> None:
    if rest:
        raise UserError(f"{rest[0]!r} is not a flag of this command: see --help")


def _of(module: str, function: str) -> Run:
    """A command whose flags are a function's arguments; nothing returned is exit code 0."""

    def run(options: argparse.Namespace, rest: Sequence[str]) -> int:
        _nothing_more(rest)
        called = getattr(importlib.import_module(f"s2f_jax.{module}"), function)
        return called(**vars(options)) or 0

    return run


class Command(NamedTuple):
    """One word of the command line."""

    run: Run
    add_flags: Callable[[flags.Add], None]
    what: str  # It does.
    example: str  # Of its flags.
    atomic: bool = False  # Stopped, it leaves nothing half-written.


COMMANDS = {
    "train": Command(
        _train, flags.train, "train, or go on training, a run", "--config=configs/grid.py"
    ),
    "prepare": Command(
        _prepare, flags.prepare, "corpus to shards", "--config=configs/grid.py --manual_dir=GRID"
    ),
    "evaluate": Command(
        _evaluate, flags.evaluate, "score a run", "--config=configs/grid.py --workdir=runs/grid"
    ),
    "ablate": Command(
        _ablate,
        flags.ablate,
        "train variants of a config, score them, make one table",
        "--config=configs/demo.py --variants=static_baseline,l1_only",
    ),
    "benchmark": Command(
        _benchmark,
        flags.benchmark,
        "how fast a config runs here",
        "--config=configs/demo.py --json=before.json",
    ),
    "generate": Command(
        _of("generate", "generate"),
        flags.generate,
        "a still and sound to an mp4",
        "--checkpoint=runs/grid --image=face.png --audio=speech.wav --output=talk.mp4",
        atomic=True,
    ),
    "convert": Command(
        _convert,
        flags.convert,
        "the authors' weights to a run, or back",
        "--sda=grid.dat --output=runs/sda_grid",
    ),
    "doctor": Command(
        _of("doctor", "run"),
        flags.doctor,
        "what is wrong with this machine, a picture, a sound or a checkpoint",
        "--checkpoint=runs/grid --image=face.png --audio=speech.wav",
    ),
    "stream": Command(
        _of("stream", "stream"),
        flags.stream,
        "a still and sound that comes, to a video as it is due",
        "--checkpoint=runs/grid --image=face.png --microphone --output=live.mp4",
    ),
    "demo": Command(
        _of("web.demo", "demo"),
        flags.demo,
        "a page where a person gives a face and speaks, and the face speaks",
        "--checkpoint=runs/grid --port=8000",
    ),
    "gallery": Command(
        _of("gallery", "gallery"),
        flags.gallery,
        "what a model does with clips it has not seen, as moving pictures",
        "--checkpoint=runs/grid --output=gallery",
        atomic=True,
    ),
    "export": Command(
        _of("export", "export"),
        flags.export,
        "a model as a folder that runs without this code",
        "--checkpoint=runs/grid --output=bundle --formats=stablehlo,onnx",
    ),
    "study": Command(
        _study,
        flags.study,
        "ask people: which of two videos looks real, and is one real at all",
        "new --study=runs/study --kind=preference --methods ours=DIR baseline=DIR --truth=DIR",
        atomic=True,
    ),
}
