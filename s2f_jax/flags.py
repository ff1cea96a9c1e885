"""The flags of each command."""

import argparse
from collections.abc import Callable
from typing import Any

Add = Callable[..., Any]  # argparse's add_argument.

_RUN = "a run's workdir or one of its checkpoints"
_MODEL = "a run's workdir, one of its checkpoints, or a bundle"
# As other tools call them, too.
_IMAGE = ("--image", "--source_image", "--face")
_AUDIO = ("--audio", "--driven_audio", "--driving_audio")
_OUTPUT = ("--output", "--outfile")


def train(add: Add) -> None:
    _of_config(add)
    _workdir(add)
    add(
        "--start_from", metavar="DIR", help=f"begin with its networks: {_RUN}, also a converted one"
    )
    add("--coordinator", metavar="HOST:PORT", help="of process 0, where several train together")
    add("--processes", type=int, help="how many; Slurm, Open MPI and Cloud TPU say it themselves")
    add("--process", type=int, help="which of them this one is, counted from 0")


def prepare(add: Add) -> None:
    _of_config(add)
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


def evaluate(add: Add) -> None:
    _of_config(add)
    _workdir(add)
    _split(add)
    add("--rows", metavar="ROW,...", help="e.g. ground_truth,frozen_still, which need no run")
    add("--videos", help="score this folder of videos instead of a run")
    add("--reference", help="with --videos: the real videos, equally named")
    add("--output", help="with --videos: the folder for the report")
    add(
        "--aligned",
        action="store_true",
        help="with --videos: every frame shows the face as the shards do",
    )


def ablate(add: Add) -> None:
    _of_config(add)
    _split(add)
    add("--workdir", help="a folder for all; default runs/ablations_<the config's name>")
    add("--variants", metavar="NAME,...", help="of configs/ablations; default all of them")
    add(
        "--print",
        choices=("commands", "slurm"),
        help="how to train the variants elsewhere, a command each or a Slurm array; no more",
    )


def benchmark(add: Add) -> None:
    _of_config(add)
    add("--json", metavar="FILE", help="the figures to a file")
    add("--compare", metavar="FILE", help="figures of before, to print beside these")
    add(
        "--only",
        metavar="SECTIONS",
        help="train,networks,generate,stream,metrics,faces,loader,checkpoint,prepare",
    )
    add("--manual_dir", help="a copy of the corpus, whose raw clips `prepare` is timed on")
    add("--seconds", type=float, default=5, help="for each figure; slow ones take longer")


def generate(add: Add) -> None:
    add("--checkpoint", required=True, help=_MODEL)
    several = {"required": True, "nargs": "+", "action": "extend", "metavar": "FILE"}
    add(
        *_IMAGE,
        dest="images",
        help="any portrait; several (one after the other, the flag again, or commas) go with one"
        " sound or with as many",
        **several,
    )
    add(
        *_AUDIO,
        dest="audios",
        help="any file with sound, however long; several as above",
        **several,
    )
    add(
        *_OUTPUT,
        required=True,
        metavar="FILE",
        help="the mp4 to write; of several videos their folder: IMAGE_AUDIO.mp4, or"
        " IMAGE_AUDIO_SEED.mp4; what made each is in its tags and in FILE.json",
    )
    _drawing(add)
    add(
        "--num_samples",
        type=int,
        default=1,
        metavar="K",
        help="a video for each of the seeds SEED to SEED + K - 1",
    )
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
    add("--certificate", metavar="PEM", help="to sign a C2PA manifest into the video (extra c2pa)")
    add("--key", metavar="PEM", help="of --certificate")


def stream(add: Add) -> None:
    from s2f_jax.videos import sinks, sources

    add("--checkpoint", required=True, help=_MODEL)
    add(*_IMAGE, required=True, help="any portrait")
    add(
        *_AUDIO,
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
        *_OUTPUT,
        metavar="FILE|-",
        default="-",
        help="where the video goes, as it is made; default -, standard output",
    )
    add(
        "--to",
        choices=sinks.FORMATS,
        help="an mp4 in fragments, with sound; Y4M; raw RGB; default by the output's ending, or mp4",
    )
    _drawing(add)
    add("--pace", action="store_true", help="play the sound in real time, as if it were live")
    add("--json", dest="json_file", metavar="FILE", help="the latencies to a file")


def demo(add: Add) -> None:
    from s2f_jax.web.limits import Limits

    add("--checkpoint", help=f"{_MODEL}; default runs/demo")
    _place(add)
    add(
        "--tls_certificate",
        metavar="PEM",
        help="for https, without which browsers give no microphone to a page of another machine",
    )
    add("--keep", metavar="DIR", help="keep every video there, with its picture; default: none")
    add("--badge", action="store_true", help="a small visible mark of what is synthetic")
    add("--files_only", action="store_true", help="no microphone and no camera is asked for")
    limits = {
        "upload_mb": "megabytes of a picture or a sound file",
        "megapixels": "of a picture",
        "sound_seconds": "the longest video",
        "sessions": "visitors at once",
        "idle_seconds": "without a word, after which a visitor's place is free",
        "stalled_seconds": "that a visitor may take to read what is sent",
        "request_seconds": "that a connection may take to ask for something",
    }
    _limits(add, Limits, limits)


def gallery(add: Add) -> None:
    add("--checkpoint", required=True, help=_RUN)
    add("--output", required=True, metavar="DIR", help="the folder to write, not there yet")
    add("--data_dir", help="where the run's shards are; default TFDS_DATA_DIR")
    _split(add)
    add("--seed", type=int, default=0, help="of the clips that are shown, and of the motion")


def export(add: Add) -> None:
    add("--checkpoint", required=True, help=_RUN)
    add("--output", required=True, help="the folder to write, which is not there yet")
    add(
        "--formats",
        default="stablehlo",
        help="some of stablehlo, onnx (extra export), savedmodel and tflite (extra tensorflow), with"
        " commas; default stablehlo",
    )
    add(
        "--weights",
        default="float32",
        help="float32, bfloat16 or int8; what each loses is in parity.json",
    )
    add(*_IMAGE, help="a portrait to compare the formats on")
    add(*_AUDIO, help="and the sound for it")
    _aligned(add)
    add(
        *("--license", "--licence"),
        dest="licence",
        default="other",
        help="of the weights, for the card, as the hub calls it, e.g. cc-by-4.0",
    )


def convert(add: Add) -> None:
    add("--sda", metavar="FILE", help="as the authors released it: grid.dat, timit.dat, crema.dat")
    add("--checkpoint", help=f"for the way back: {_RUN}")
    add("--output", required=True, help="the folder of the run, or the .dat file of the way back")
    add(
        "--config",
        metavar="FILE:PRESET",
        help="for what the file does not say; default that of its corpus, else configs/base.py:sda",
    )


def doctor(add: Add) -> None:
    add("--checkpoint", help=f"{_MODEL}, to be loaded and timed")
    add(*_IMAGE, help="a portrait, to be judged and drawn")
    add(*_AUDIO, help="a sound file, to be measured")
    add("--video", help="a video, to be asked what it says of who made it")
    add("--output", metavar="DIR", default=".", help="for doctor_<image>.png; default here")
    add("--json", dest="json_file", metavar="FILE", help="all findings to a file")


def study(add: Add) -> None:
    add(
        "action",
        choices=("new", "serve", "report", "export"),
        help="make one, let people vote, evaluate it, votes to CSV",
    )
    add("--study", required=True, metavar="DIR", help="the study's folder; for new, not there yet")
    add(
        "--output", metavar="DIR", help="of report or export; default report/ or export/ in --study"
    )
    for action, flags in STUDY.items():
        flags(_of_action(add, action))


def study_new(add: Add) -> None:
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


def study_serve(add: Add) -> None:
    from s2f_jax.web.study_limits import StudyLimits

    _place(add)
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
    _limits(add, StudyLimits, limits)


# What each action of `study` takes, beside --study and --output.
STUDY = {"new": study_new, "serve": study_serve}


def of_study(action: str) -> set[str]:
    """The flags that are an action's own."""
    names: set[str] = set()
    if action in STUDY:
        STUDY[action](lambda name, **_: names.add(name.removeprefix("--")))
    return names


def _of_action(add: Add, action: str) -> Add:
    """Flags that are not there unless they are given, so that another action can refuse them."""

    def add_to_action(name: str, **fields: Any) -> None:
        add(name, **fields | {"default": argparse.SUPPRESS, "help": f"{action}: {fields['help']}"})

    return add_to_action


def _of_config(add: Add) -> None:
    add("--config", metavar="FILE[:PRESET]", help="and --config.FIELD=VALUE changes a field")
    add("--data_dir", help="where the shards are; default TFDS_DATA_DIR")


def _workdir(add: Add) -> None:
    add("--workdir", help="the run's folder; default runs/<the config's name>")


def _split(add: Add) -> None:
    add("--split", default="test", help="train, val or test")


def _drawing(add: Add) -> None:
    add("--seed", type=int, default=0, help="of the spontaneous motion")
    _aligned(add)
    add("--badge", action="store_true", help="a small visible mark of what is synthetic")


def _aligned(add: Add) -> None:
    add("--aligned", action="store_true", help="the image is a crop of the model's size")


def _place(add: Add) -> None:
    add("--port", type=int, default=8000, help="to listen on; 0: any that is free; default 8000")
    add(
        "--host",
        default="127.0.0.1",
        help="the address to listen on; of any that is not this machine's own, the page demands a"
        " token",
    )
    add("--token", help="letters and digits that open the page; default: made anew each time")
    add("--tls_key", metavar="PEM", help="of --tls_certificate")


def _limits(add: Add, of: Any, what: dict[str, str]) -> None:
    """of: their dataclass."""
    for name, told in what.items():
        default = getattr(of, name)
        add(f"--{name}", type=int, default=default, metavar="N", help=f"{told}; default {default}")
