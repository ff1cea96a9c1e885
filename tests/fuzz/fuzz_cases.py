"""Command lines, each drawn from its number, so that any can be repeated by it."""

import dataclasses
import fractions
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tests.fuzz import hostile_models, hostile_pictures, hostile_sounds
from tests.fuzz.hostile_made import Made, drawn

COUNT = 500
# Of each hundred.
_SHARES = {"convert": 20, "doctor": 16, "export": 10, "generate": 32, "stream": 22}


@dataclasses.dataclass(frozen=True)
class Case:
    """A command line, and what must come of it."""

    number: int
    command: str
    arguments: Sequence[str]
    made: Mapping[str, Made]  # By the flag.
    good: bool | None  # True: exit code 0, False: 2, None: either.
    stdin: bytes | None = None
    stdin_samples: int | None = None  # Of 16 kHz, where they are known.

    @property
    def named(self):
        """What the sentence of exit code 2 may hold: one of these."""
        any_of_them = "flag" in self.made  # Whose value may be at odds with that of another.
        suspects = [
            made.named for made in self.made.values() if made.good is not True or any_of_them
        ]
        return suspects or ["--"]


def case(number: int, folder: pathlib.Path, materials: Mapping[str, Any]) -> Case:
    """folder: where its files are made. materials: the good run, bundle and so on, by name."""
    rng = np.random.default_rng([number, 2018])
    names = [name for name, share in _SHARES.items() for _ in range(share)]
    command = names[(37 * number) % 100]  # Every command among any few numbers.
    return _DRAWN[command](rng, folder, materials, number)


def _pick(rng, makers):
    return makers[drawn(rng, makers)]


def _hostile(rng, flags, most=2):
    """Which of the flags are given something odd; seldom none."""
    count = (0, 1, 1, 1, 1, 1, 1, most)[rng.integers(8)]
    return set(np.array(flags)[rng.permutation(len(flags))[:count]].tolist())


# Names of files that a shell may give.
_NAMES = (
    *(
        "a b",
        "-a",
        "--seed=3",
        "100%d",
        "%s%n",
        "a'b",
        'a"b',
        "a\nb",
        "a\tb",
        "a\x1b[31mb",
        "ü",
        "火",
    ),
    *(
        "a,b",
        "a:b",
        "file:a",
        "pipe:0",
        "http:",
        "*",
        "$HOME",
        "~",
        "a\\b",
        "\udcff\udcfe",
        "é" * 100,
    ),
    *("x" * 200, "x" * 247, "CON", "...", ".hidden", "\u202eb", "a;rm -rf b", "{}", "{0}", "[abc]"),
)


def _renamed(rng, made, folder):
    """The same file under a name that programs stumble over."""
    path = pathlib.Path(made.value)
    if made.good is None or not path.is_file() or path.parent != folder:
        return made
    name = _NAMES[rng.integers(len(_NAMES))] + path.suffix
    try:
        os.rename(path, folder / name)
    except OSError:  # Longer than the system takes.
        return made
    value = name if rng.random() < 0.5 else str(folder / name)
    named = name if made.good else name.split("\n")[0][:20]
    return dataclasses.replace(made, value=value, named=named, what=f"{made.what} {name!r}")


def _picture(rng, folder, hostile):
    made = (_pick(rng, hostile_pictures.PICTURES) if hostile else hostile_pictures.good)(
        rng, folder
    )
    return _renamed(rng, made, folder) if rng.random() < 0.15 else made


def _sound(rng, folder, hostile):
    made = (_pick(rng, hostile_sounds.SOUNDS) if hostile else hostile_sounds.good)(rng, folder)
    return _renamed(rng, made, folder) if rng.random() < 0.15 else made


def _model(rng, folder, materials, hostile, makers=hostile_models.MODELS):
    if hostile:
        return _pick(rng, makers)(rng, folder, materials)
    name = "bundle" if makers is hostile_models.MODELS and rng.random() < 0.5 else "run"
    return Made(str(materials[name]), True, name, f"good {name}")


def _output(rng, folder, hostile, name):
    """A place to write to."""
    if not hostile:
        return Made(str(folder / name), True, name, "good")
    kind, ending = int(rng.integers(13)), pathlib.Path(name).suffix
    if kind == 0:
        return Made(str(folder / "no" / "such" / name), None, "no/such", "in no folder")
    if kind == 1:
        (folder / name).mkdir()
        (folder / name / "kept").write_text("kept")
        return Made(str(folder / name), False, name, "a folder that is not empty")
    if kind == 2:
        return Made("/dev/full", False, "/dev/full", "/dev/full")
    if kind == 3:
        return Made(f"/proc/{name}", False, "/proc", "/proc")
    if kind == 4:
        return Made("", False, "--output", "empty")
    if kind == 5:
        long = "x" * (255 - len(ending)) + ending
        return Made(str(folder / long), None, "x" * 40, "255 bytes")
    if kind == 6:
        long = "x" * 300 + ending
        return Made(str(folder / long), False, "x" * 40, "300 bytes")
    if kind == 7:
        (folder / name).symlink_to(name)
        return Made(str(folder / name), None, name, "a loop")
    if kind == 8:
        os.mkfifo(folder / name)
        return Made(str(folder / name), None, name, "a pipe")
    if kind == 9:
        (folder / name).write_text("before")
        return Made(str(folder / name), None, name, "a file that is there")
    if kind == 10:
        (folder / "file").write_text("no folder")
        return Made(str(folder / "file" / name), False, "file", "in a file")
    if kind == 11:
        return Made(str(folder) + "/" + "d/" * 2500 + name, False, "d/d/d", "deep")
    odd = _NAMES[rng.integers(len(_NAMES))] + ending
    good = True if len(odd.encode(errors="surrogateescape")) < 200 and "/" not in odd else None
    return Made(odd, good, odd.split("\n")[0][:20], f"named {odd!r}")


_WHOLE = (
    "",
    "x",
    "1.5",
    "-1",
    "nan",
    "inf",
    "1e3",
    "0x10",
    "9" * 30,
    "9" * 5000,
    "２",
    " 1",
    "1_0",
    "--",
)
_FPS = (
    *_WHOLE,
    "0",
    "1e400",
    "1/0",
    "0/1",
    "30000/1001",
    "29.97",
    "120",
    "121",
    "1e-9",
    "25/1/1",
    "½",
)


def _flags(rng, of):
    """Extra flags -> their words, and for each whether it must be taken."""
    name = sorted(of)[rng.integers(len(of))]
    value = of[name][rng.integers(len(of[name]))]
    words = [name] if value is None else [f"{name}={value}"]
    return words, Made(value or "", None, name.lstrip("-"), f"flag {words[0]!r:.80}")


_COMMON = {
    "--seed": (*_WHOLE, "0", "4294967295", "4294967296"),
    "--unknown": ("1", None, ""),
    "--aligned": ("yes", "", None),
    "stray": (None,),
    "--Image": ("x",),
    "--imag": ("x",),
    "--\udcff": (None, "\udcff"),
}


def _convert(rng, folder, materials, number):
    pytest.importorskip("torch")  # Whose files these are.
    from tests.fuzz import hostile_pickles

    makers = {**hostile_pickles.SDA_FILES, "again": hostile_pickles.SDA_FILES["sda_evil"]}
    if rng.random() < 0.15:  # The way back.
        odd = _hostile(rng, ("checkpoint", "output"))
        made = {
            "checkpoint": _model(rng, folder, materials, "checkpoint" in odd, hostile_models.RUNS),
            "output": _output(rng, folder, "output" in odd, "back.dat"),
        }
        return _case(number, "convert", made)
    odd = _hostile(rng, ("sda", "sda", "sda", "output", "flag"))
    file = _pick(rng, makers) if "sda" in odd else hostile_pickles.sda_good
    made = {
        "sda": file(rng, folder, materials),
        "output": _output(rng, folder, "output" in odd, "converted"),
    }
    of = _COMMON | {
        "--config": ("", "none.py", "configs/base.py:none", "/dev/zero", "/", "README.md", ":"),
        "--config.seed": _WHOLE,
        "--config.model.face": ("", "1", "()", "((1,2),)", "__import__('os').system('x')"),
        "--config.model.dtype": ("float16", "int8", "", "bfloat16"),
        "--config.model.noise_std": ("nan", "inf", "-1", "0", "x"),
        "--config.data.height": ("0", "-1", "1000000", "x"),
        "--checkpoint": ("x", ""),
    }
    return _case(number, "convert", made, _flags(rng, of) if "flag" in odd else None)


def _doctor(rng, folder, materials, number):
    flags = ("checkpoint", "image", "audio", "video", "output", "json")
    odd = _hostile(rng, flags, 3)
    made = {}
    if "checkpoint" in odd or rng.random() < 0.2:
        made["checkpoint"] = _model(rng, folder, materials, "checkpoint" in odd)
    if "image" in odd or rng.random() < 0.3:
        made["image"] = _picture(rng, folder, "image" in odd)
        # Noise, in which there is no face.
        made["image"] = dataclasses.replace(made["image"], good=made["image"].good and None)
    if "audio" in odd or rng.random() < 0.3:
        made["audio"] = _sound(rng, folder, "audio" in odd)
    if "video" in odd:
        made["video"] = _sound(rng, _new(folder, "video"), True)
        made["video"] = dataclasses.replace(made["video"], good=None)
    if "output" in odd:
        made["output"] = _output(rng, folder, True, "found")
    else:
        made["output"] = Made(str(_new(folder, "found")), True, "found")
    if rng.random() < 0.7 or "json" in odd:
        made["json"] = _output(rng, folder, "json" in odd, "found.json")
        if not made["json"].value:  # As if it were not given.
            made["json"] = dataclasses.replace(made["json"], good=None)
    made["output"] = dataclasses.replace(made["output"], good=made["output"].good and True)
    if "output" in odd:
        made["output"] = dataclasses.replace(made["output"], good=None)
    return _case(number, "doctor", made)


def _new(folder, name):
    (folder / name).mkdir()
    return folder / name


def _export(rng, folder, materials, number):
    odd = _hostile(rng, ("checkpoint", "checkpoint", "output", "image", "audio", "flag"))
    odd = odd or {"flag"}  # A whole export takes seconds.
    made = {
        "checkpoint": _model(rng, folder, materials, "checkpoint" in odd, hostile_models.RUNS),
        "output": _output(rng, folder, "output" in odd, "exported"),
    }
    if odd & {"image", "audio"}:
        made["image"] = _picture(rng, folder, "image" in odd)
        made["audio"] = _sound(rng, folder, "audio" in odd)
    of = _COMMON | {
        "--formats": ("", "x", "stablehlo,", "onnx,onnx", "stablehlo,x", "ＯＮＮＸ", "../x"),
        "--weights": ("", "float16", "int8", "bfloat16", "int4", "FLOAT32"),
        "--license": ("", "mit", "a b", "../x", "---\nx", "x" * 5000, "-", "MIT", "cc-by-4.0"),
        "--image": ("x", ""),
        "--audio": ("x", ""),
    }
    return _case(number, "export", made, _flags(rng, of) if "flag" in odd else None, ["--aligned"])


def _generate(rng, folder, materials, number):
    odd = _hostile(rng, ("image", "image", "audio", "audio", "checkpoint", "output", "flag"))
    made = {
        "checkpoint": _model(rng, folder, materials, "checkpoint" in odd),
        "image": _picture(rng, folder, "image" in odd),
        "audio": _sound(rng, folder, "audio" in odd),
        "output": _output(rng, folder, "output" in odd, "talk.mp4"),
    }
    if "output" in odd and rng.random() < 0.1:
        inputs = made["image"], made["audio"]
        taken = inputs[rng.integers(2)]
        made["output"] = Made(taken.value, False, taken.named[:20], "what is read")
    of = _COMMON | {
        "--fps": _FPS,
        "--num_samples": (*_WHOLE, "0", "1"),
        "--side_by_side": (*_WHOLE, "0", "2"),
        "--paste_back": (None,),
        "--image": ("", ",", "x", "a,b,c", "../../../../etc/passwd"),
        "--audio": ("", ",", "x", "/dev/null", "-"),
    }
    return _case(
        number, "generate", made, _flags(rng, of) if "flag" in odd else None, ["--aligned"]
    )


def _stream(rng, folder, materials, number):
    flags = ("image", "image", "audio", "stdin", "stdin", "checkpoint", "output", "flag")
    odd = _hostile(rng, flags)
    ending = ("mp4", "y4m", "rgb")[rng.integers(3)]
    made = {
        "checkpoint": _model(rng, folder, materials, "checkpoint" in odd),
        "image": _picture(rng, folder, "image" in odd),
        "output": _output(rng, folder, "output" in odd, f"live.{ending}"),
    }
    if made["output"].what == "a pipe":  # Which rightly waits for who reads it.
        pathlib.Path(made["output"].value).unlink()
    more, stdin, samples = ["--aligned"], None, None
    if "stdin" in odd:
        stdin, words, good, samples = hostile_sounds.pcm(rng)
        more += words
        made["stdin"] = Made("-", good, "standard input", "stdin")
        samples = samples if good else None
    else:
        made["audio"] = _sound(rng, folder, "audio" in odd)
    of = _COMMON | {
        "--rate": (*_WHOLE, "0", "8000", "192001", "2147483648"),
        "--format": ("", "mp3", "wav", "s16le", "f32le"),
        "--to": ("", "gif", "mp4", "rgb24"),
        "--json": ("", "/dev/full", "/proc/x", "no/x.json", "/"),
        "--microphone": (None, "99", "none such"),
        "--pace": ("x",),
    }
    return _case(
        number, "stream", made, _flags(rng, of) if "flag" in odd else None, more, stdin, samples
    )


_DRAWN = {
    "convert": _convert,
    "doctor": _doctor,
    "export": _export,
    "generate": _generate,
    "stream": _stream,
}


def _case(number, command, made, flag=None, more=(), stdin=None, samples=None):
    words = [f"--{name}={each.value}" for name, each in made.items() if name != "stdin"]
    judged = [each.good for each in made.values()] + ([None] if flag else [])
    good = False if False in judged else None if None in judged else True
    if flag is not None:
        made = {**made, "flag": flag[1]}
        words += flag[0]
    return Case(number, command, [command, *words, *more], made, good, stdin, samples)


def seconds_of(case: Case) -> fractions.Fraction | None:
    """Of the sound that the video is of, where it is known."""
    if case.stdin_samples is not None:
        return fractions.Fraction(case.stdin_samples, 16000)
    return case.made["audio"].seconds if "audio" in case.made else None
