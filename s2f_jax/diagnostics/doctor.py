"""`doctor`: what stands between a person and a video, found before any work is done."""

import collections
import functools
import json
import os
import pathlib
from collections.abc import Iterator

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from s2f_jax.diagnostics import findings, machine
from s2f_jax.diagnostics.findings import ERROR, WARNING, Finding


def examine(
    image: str | None = None,
    audio: str | None = None,
    checkpoint: str | None = None,
    video: str | None = None,
    output: str = ".",
    json_file: str | None = None,
) -> int:
    """Prints a line for each finding -> exit code: 0, or 2 where one of them is an error.

    Raises UserError where the results cannot be written.
    """
    folder = pathlib.Path(output)
    for flag, target in (("--output", folder), ("--json", pathlib.Path(json_file or ".").parent)):
        if not target.is_dir():
            raise UserError(f"{flag}: there is no folder {target}; make it first")
        if not os.access(target, os.W_OK):
            raise UserError(f"{flag}: the folder {target} cannot be written to; give another")
    found = []
    for finding in _examine(image, audio, checkpoint, video, folder):
        print(finding, flush=True)
        found.append(finding)
    counts = collections.Counter(finding.level for finding in found)
    code = 2 if counts[ERROR] else 0
    print(", ".join(f"{level}s: {counts[level]}" for level in (ERROR, WARNING)))
    if json_file:
        contents = {
            "exit_code": code,
            "findings": [{**vars(finding), "values": dict(finding.values)} for finding in found],
        }
        files.write_atomically(json_file, (json.dumps(contents, indent=2) + "\n").encode())
    return code


def _examine(
    image: str | None,
    audio: str | None,
    checkpoint: str | None,
    video: str | None,
    folder: pathlib.Path,
) -> Iterator[Finding]:
    for about, check in machine.checks(folder).items():
        yield from findings.of(about, check)
    if not (image or audio or checkpoint or video):
        return
    # Here, since what it imports may be what is missing.
    try:
        from s2f_jax.diagnostics.inputs import Inputs
    except ImportError as error:
        yield Finding(ERROR, "inputs", f"cannot be looked at ({error}): see packages above")
        return
    inputs = Inputs(folder)
    for about, path, examine in (
        ("checkpoint", checkpoint, inputs.examine_checkpoint),
        ("image", image, inputs.examine_image),
        ("audio", audio, inputs.examine_audio),
        ("video", video, inputs.examine_video),
    ):
        if path:
            yield from findings.of(about, functools.partial(examine, path))
    if inputs.animator:
        yield from findings.of("speed", inputs.time)
