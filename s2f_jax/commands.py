"""The commands: what each does with its flags. Their modules are imported when they run."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from data_pipelines.errors import UserError


def _config(options: argparse.Namespace, rest: Sequence[str]) -> Any:
    from s2f_jax import config_file

    return config_file.read(options.config, rest)


def _train(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax import cluster
    from s2f_jax.train import train

    config = _config(options, rest)
    cluster.join(options.coordinator, options.processes, options.process)
    return train(config, options.workdir or f"runs/{config.name}", options.data_dir)


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
    import importlib

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


_SCORED_BY = {"animate": "evaluate", "lipread": "reading", "sync": "offsets"}


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


def _generate(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax.generate import generate

    _nothing_more(rest)
    try:
        generate(**vars(options))
    except KeyboardInterrupt:
        print("s2f: stopped; nothing half-written is left", file=sys.stderr)
        return 130  # As shells have it.
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


def _doctor(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax import doctor

    _nothing_more(rest)
    return doctor.run(
        image=options.image,
        audio=options.audio,
        checkpoint=options.checkpoint,
        video=options.video,
        output=options.output,
        json_file=options.json,
    )


def _stream(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax.stream import stream

    _nothing_more(rest)
    try:
        stream(**vars(options))
    except KeyboardInterrupt:
        print("s2f: stopped", file=sys.stderr)
        return 130
    return 0


def _export(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from s2f_jax.export import export

    _nothing_more(rest)
    export(**vars(options))
    return 0


def _nothing_more(rest: Sequence[str]) -> None:
    if rest:
        raise UserError(f"{rest[0]!r} is not a flag of this command: see --help")


def add_flags(command: str, parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    if command not in ("generate", "stream", "convert", "doctor", "export"):
        add("--config", metavar="FILE[:PRESET]", help="and --config.FIELD=VALUE changes a field")
        add("--data_dir", help="where the shards are; default TFDS_DATA_DIR")
    if command in ("train", "evaluate"):
        add("--workdir", help="the run's folder; default runs/<the config's name>")
    if command in ("evaluate", "ablate"):
        add("--split", default="test", help="train, val or test")
    if command == "train":
        add("--coordinator", metavar="HOST:PORT", help="of process 0, where several train together")
        add(
            "--processes",
            type=int,
            help="how many; Slurm, Open MPI and Cloud TPU say it themselves",
        )
        add("--process", type=int, help="which of them this one is, counted from 0")
    if command == "prepare":
        add("--manual_dir", help="a local copy of the corpus; without it, it is downloaded")
        add(
            "--beam_pipeline_options",
            metavar="runner=RUNNER,NAME=VALUE,...",
            default="",
            help="let Apache Beam do the work, as in `tfds build`",
        )
        add(
            "--check",
            action="store_true",
            help="look at the shards made before: a page and check.json beside them; exit code 1 if"
            " there are errors, 0 with warnings alone",
        )
    elif command == "evaluate":
        add("--rows", metavar="ROW,...", help="e.g. ground_truth,frozen_still, which need no run")
        add("--videos", help="score this folder of videos instead of a run")
        add("--reference", help="with --videos: the real videos, equally named")
        add("--output", help="with --videos: the folder for the report")
        add(
            "--aligned",
            action="store_true",
            help="with --videos: every frame shows the face as the shards do",
        )
    elif command == "ablate":
        add("--workdir", help="a folder for all; default runs/ablations_<the config's name>")
        add("--variants", metavar="NAME,...", help="of configs/ablations; default all of them")
        add(
            "--print",
            choices=("commands", "slurm"),
            help="how to train the variants elsewhere, a command each or a Slurm array; no more",
        )
    elif command == "benchmark":
        add("--json", metavar="FILE", help="the figures to a file")
        add("--compare", metavar="FILE", help="figures of before, to print beside these")
        add(
            "--only",
            metavar="SECTIONS",
            help="train,networks,generate,stream,metrics,faces,loader,checkpoint,prepare",
        )
        add("--manual_dir", help="a copy of the corpus, whose raw clips `prepare` is timed on")
        add("--seconds", type=float, default=5, help="for each figure; slow ones take longer")
    elif command == "generate":
        add(
            "--checkpoint",
            required=True,
            help="a run's workdir, one of its checkpoints, or a bundle",
        )
        several = {"required": True, "nargs": "+", "action": "extend", "metavar": "FILE"}
        add(
            *("--image", "--source_image", "--face"),
            dest="images",
            help="any portrait; several (one after the other, the flag again, or commas) go with"
            " one sound or with as many",
            **several,
        )
        add(
            *("--audio", "--driven_audio", "--driving_audio"),
            dest="audios",
            help="any file with sound, however long; several as above",
            **several,
        )
        add(
            *("--output", "--outfile"),
            required=True,
            metavar="FILE",
            help="the mp4 to write; of several videos their folder: IMAGE_AUDIO.mp4, or"
            " IMAGE_AUDIO_SEED.mp4",
        )
        add("--seed", type=int, default=0, help="of the spontaneous motion")
        add(
            "--num_samples",
            type=int,
            default=1,
            metavar="K",
            help="a video for each of the seeds SEED to SEED + K - 1",
        )
        add("--aligned", action="store_true", help="the image is a crop of the model's size")
        add(
            "--paste_back",
            action="store_true",
            help="the whole picture, with the animated face in its place",
        )
        add(
            "--fps",
            metavar="F",
            help="1 to 120, also 29.97 or 30000/1001; the face still moves at the model's own rate,"
            " whose frames are shown again or left out",
        )
        add(
            "--side_by_side",
            type=int,
            default=4,
            metavar="N",
            help="so many videos are drawn at a time",
        )
    elif command == "doctor":
        add(
            "--checkpoint",
            help="a run's workdir or one of its checkpoints, to be restored and timed",
        )
        add("--image", "--source_image", "--face", help="a portrait, to be judged and drawn")
        add("--audio", "--driven_audio", "--driving_audio", help="a sound file, to be measured")
        add("--video", help="a video, to be asked what it says of who made it")
        add("--output", metavar="DIR", default=".", help="for doctor_<image>.png; default here")
        add("--json", metavar="FILE", help="all findings to a file")

    elif command == "convert":
        add(
            "--sda",
            metavar="FILE",
            help="as the authors released it: grid.dat, timit.dat, crema.dat",
        )
        add("--checkpoint", help="for the way back: a run's workdir or one of its checkpoints")
        add(
            "--output",
            required=True,
            help="the folder of the run, or the .dat file of the way back",
        )
        add(
            "--config",
            metavar="FILE:PRESET",
            help="for what the file does not say; default that of its corpus, else configs/base.py:sda",
        )
    elif command == "export":
        add("--checkpoint", required=True, help="a run's workdir or one of its checkpoints")
        add("--output", required=True, help="the folder to write, which is not there yet")
        add(
            "--formats",
            default="stablehlo",
            help="stablehlo,onnx (extra export) or one of them; default stablehlo",
        )
        add(
            "--weights",
            default="float32",
            help="float32, bfloat16 or int8; what each loses is in parity.json",
        )
        add("--image", "--source_image", "--face", help="a portrait to compare the formats on")
        add("--audio", "--driven_audio", "--driving_audio", help="and the sound for it")
        add("--aligned", action="store_true", help="the image is a crop of the model's size")
        add(
            "--license",
            "--licence",
            dest="licence",
            default="other",
            help="of the weights, for the card, as the hub calls it, e.g. cc-by-4.0",
        )
    elif command == "stream":
        _add_stream_flags(add)


def _add_stream_flags(add: Callable[..., Any]) -> None:
    from s2f_jax import sinks, sources

    add("--checkpoint", required=True, help="a run's workdir, one of its checkpoints, or a bundle")
    add("--image", "--source_image", "--face", required=True, help="any portrait")
    add(
        *("--audio", "--driven_audio", "--driving_audio"),
        metavar="FILE|-",
        default="-",
        help="any file with sound; default -, standard input",
    )
    add("--rate", type=int, metavar="HZ", help="of raw samples; default the model's")
    add(
        "--format",
        dest="form",
        choices=sources.FORMATS,
        help="of standard input, or of a raw file; default what it is: a WAV, else s16le; mono",
    )
    add(
        "--microphone",
        nargs="?",
        const="",
        metavar="DEVICE",
        help="listen to this one, by its number or a part of its name; without, the system's own",
    )
    add(
        *("--output", "--outfile"),
        metavar="FILE|-",
        default="-",
        help="where the video goes, as it is made; default -, standard output",
    )
    add(
        "--to",
        choices=sinks.FORMATS,
        help="an mp4 in fragments, with sound; Y4M; raw RGB; default by the output's ending, or mp4",
    )
    add("--seed", type=int, default=0, help="of the spontaneous motion")
    add("--aligned", action="store_true", help="the image is a crop of the model's size")
    add("--pace", action="store_true", help="play the sound in real time, as if it were live")
    add("--json", dest="json_file", metavar="FILE", help="the latencies to a file")


COMMANDS = {  # The function, what it does, and an example of its flags.
    "train": (_train, "train, or go on training, a run", "--config=configs/grid.py"),
    "prepare": (_prepare, "corpus to shards", "--config=configs/grid.py --manual_dir=GRID"),
    "evaluate": (_evaluate, "score a run", "--config=configs/grid.py --workdir=runs/grid"),
    "ablate": (
        _ablate,
        "train variants of a config, score them, make one table",
        "--config=configs/demo.py --variants=static_baseline,l1_only",
    ),
    "benchmark": (
        _benchmark,
        "how fast a config runs here",
        "--config=configs/demo.py --json=before.json",
    ),
    "generate": (
        _generate,
        "a still and sound to an mp4",
        "--checkpoint=runs/grid --image=face.png --audio=speech.wav --output=talk.mp4",
    ),
    "convert": (
        _convert,
        "the authors' weights to a run, or back",
        "--sda=grid.dat --output=runs/sda_grid",
    ),
    "doctor": (
        _doctor,
        "what is wrong with this machine, a picture, a sound or a checkpoint",
        "--checkpoint=runs/grid --image=face.png --audio=speech.wav",
    ),
    "stream": (
        _stream,
        "a still and sound that comes, to a video as it is due",
        "--checkpoint=runs/grid --image=face.png --microphone --output=live.mp4",
    ),
    "export": (
        _export,
        "a model as a folder that runs without this code",
        "--checkpoint=runs/grid --output=bundle --formats=stablehlo,onnx",
    ),
}
