"""Whether what a command did was right: a result that holds, or one sentence and nothing else."""

import hashlib
import json
import math
import os
import pathlib
import re

import numpy as np

from data_pipelines.media.containers import open_media
from s2f_jax.bundle import bundle, bundle_runtime
from s2f_jax.runs import restore

FPS = 25  # Of the tiny model.
# What a command says on the standard error beside its sentence: its own words, no library's.
_REMARKS = (
    r".* shows \d+ faces: the largest is taken",
    r".* at \d+ Hz to (mp4|y4m|rgb24), 12x16, 25 frames/s; a frame waits for .*",
    r"\d+ frames of [\d.]+ s; latency .*",
    r"no frames were written",
    r"\d+ of \d+ frames, [\d.]+ frames/s, .* left",
    r"the parity report compares on noise alone: .*",
    r"(stablehlo|onnx|savedmodel|tflite) differs by .*",
)


def snapshot(folder):
    """Every file below with what it holds; what is no file, by its kind."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = os.fsencode(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "folder"
        elif not path.is_file():
            found[name] = "special"
        elif path.stat().st_size > 1 << 28:
            found[name] = f"{path.stat().st_size} bytes"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def faults(case, outcome, folder, before):
    """What is wrong with what a command did, in words; before: the folder's snapshot."""
    if outcome.fault:
        return [outcome.fault]
    found = []
    error = outcome.error.decode(errors="replace")
    lines = [line for line in error.splitlines() if not _remark(line)]
    after = snapshot(folder)
    new = sorted(name for name in after if name not in before)
    changed = sorted(name for name in before if after.get(name) != before[name])
    if b"canary" in after:
        found.append("what a hostile file holds was run")
    if "Traceback" in error or "Traceback" in outcome.out.decode(errors="replace"):
        found.append("a traceback is shown")
    if any(name.endswith(b".part") or b".part/" in name for name in after):
        found.append(f"half-written: {new}")
    if outcome.code not in (0, 2):
        found.append(f"exit code {outcome.code}")
    if case.good is not None and outcome.code != (0 if case.good else 2):
        found.append(f"exit code {outcome.code}, though it is {'good' if case.good else 'bad'}")
    if outcome.code == 2 and case.command != "doctor" or (lines and case.command == "doctor"):
        found += _sentence(lines, case)
    elif lines and case.command != "doctor":
        found.append(f"the standard error has {lines[:3]}")
    allowed = _allowed(case, folder) if outcome.code == 0 or case.command in "doctor stream" else []
    wrong = [name for name in (*new, *changed) if not any(_within(name, each) for each in allowed)]
    if wrong:
        found.append(f"new or changed: {wrong[:5]}")
    if not found:
        found += _CHECKS[case.command](case, outcome, folder)
    return found


def _remark(line):
    return any(re.fullmatch(pattern, line) for pattern in _REMARKS)


def _sentence(lines, case):
    if len(lines) != 1 or not lines[0].startswith("s2f: "):
        return [f"not one sentence: {lines[:4]}"]
    sentence, found = lines[0], []
    if "image" in case.made and re.search(r"\d+x\d+ (image|pixels)", sentence):
        return found  # What is wrong with it is its size, or that there is no face.
    if not any(_shown(name) in sentence or ascii(name)[1:-1] in sentence for name in case.named):
        found.append(f"names none of {case.named}: {sentence[:300]}")
    if not sentence.isprintable():
        found.append(f"holds control characters: {sentence[:300]!r}")
    if len(sentence) > 12_000:
        found.append(f"is {len(sentence)} characters long: {sentence[:300]}")
    if not re.search(
        r"\b(must|give|see|check|make|choose|restore|fetch|leave|use|copy|name|run|download)\b",
        sentence,
    ):
        found.append(f"has no cure: {sentence}")
    return found


def _shown(name):
    """As a terminal is given it."""
    name = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _allowed(case, folder):
    """Names that the command may write, relative to the folder."""
    names = []
    for flag in ("output", "json"):
        if flag in case.made:
            path = os.path.normpath(os.path.join(folder, case.made[flag].value))
            names.append(os.fsencode(os.path.relpath(path, folder)))
    if case.command in ("generate", "stream") and names:
        names.append(names[0] + b".json")
    return names


def _within(name, place):
    return name == place or name.startswith(place + b"/") or place.startswith(name + b"/")


def _output(case, folder):
    return os.path.join(folder, case.made["output"].value)


def _converted(case, outcome, folder):
    if outcome.code:
        return []
    output = pathlib.Path(_output(case, folder))
    if "checkpoint" in case.made:
        return [] if output.stat().st_size > 10_000 else ["the file is small"]
    trained = restore.restore_generator(output)
    every = [np.asarray(leaf) for leaf in restore.jax.tree.leaves(trained.variables)]
    return [] if all(np.isfinite(leaf).all() for leaf in every) else ["it is not finite"]


def _examined(case, outcome, folder):
    found, text = [], outcome.out.decode(errors="replace")
    if outcome.error and outcome.code != 2:
        found.append(f"the standard error has {outcome.error[:300]}")
    lines = text.splitlines()
    if outcome.error:
        return found
    levels = [line.split(" ", 1)[0] for line in lines[:-1]]
    if not set(levels) <= {"ok", "warning", "error"}:
        found.append(f"more than a line for a finding: {lines}")
    if outcome.code != (2 if "error" in levels else 0):
        found.append(f"exit code {outcome.code} with {levels}")
    if not text.replace("\n", "").isprintable():
        found.append("holds control characters")
    errors = [line for line in lines if line.startswith("error")]
    for made in case.made.values():
        if made.good is False and not any(_shown(made.named) in line for line in errors):
            found.append(f"no error names {made.named}: {errors}")
    if "json" in case.made and case.made["json"].value:
        with open(os.path.join(folder, case.made["json"].value)) as file:
            report = json.load(file, parse_constant=lambda name: found.append(f"JSON with {name}"))
        if report["exit_code"] != outcome.code or len(report["findings"]) != len(levels):
            found.append("the JSON says something else")
    return found


def _exported(case, outcome, folder):
    if outcome.code:
        return []
    output = pathlib.Path(_output(case, folder))
    config, weights = bundle.read_bundle(output)
    for line in (output / bundle_runtime.CHECKSUMS_FILE).read_text().splitlines():
        digest, name = line.split("  ")
        if hashlib.sha256((output / name).read_bytes()).hexdigest() != digest:
            return [f"{name} has another sum"]
    return [] if config.height == 16 and weights else ["it holds nothing"]


def _animated(case, outcome, folder):
    """A video that decodes, with as many frames as its sound has, and with that sound."""
    output = pathlib.Path(_output(case, folder))
    if outcome.code:
        return []
    match = re.search(rb"(\d+) frames[ ,]", outcome.out + outcome.error)
    count = int(match[1]) if match else 0
    found = []
    seconds, fps = _seconds(case), _fps(case)
    if seconds is not None and count != math.ceil(seconds * fps):
        found.append(f"{count} frames for {float(seconds)} s at {fps}")
    if output.suffix == ".rgb" or not output.is_file() or case.arguments[-1].startswith("--to"):
        return found
    if not count:
        return found
    with open_media(output) as container:
        pictures = [(frame.height, frame.width) for frame in container.decode(video=0)]
        sounds = len(container.streams.audio)
    if len(pictures) != count or set(pictures) != {(16, 12)}:
        found.append(f"{len(pictures)} of {count} frames, of {set(pictures)}")
    if sounds != (output.suffix == ".mp4"):
        found.append(f"{sounds} sounds")
    return found


def _seconds(case):
    from tests.fuzz.fuzz_cases import seconds_of

    return None if "flag" in case.made else seconds_of(case)


def _fps(case):
    return FPS


_CHECKS = {
    "convert": _converted,
    "doctor": _examined,
    "export": _exported,
    "generate": _animated,
    "stream": _animated,
}
