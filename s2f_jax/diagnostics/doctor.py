"""`doctor`: checks machine and inputs, to find what would fail before any work is done."""

import collections
import functools
import json
import os
import pathlib
from collections.abc import Iterator, Mapping

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from s2f_jax.diagnostics import machine
from s2f_jax.diagnostics.findings import ERROR, WARNING, Finding, run_check


def examine(
    image: str | None = None,
    audio: str | None = None,
    checkpoint: str | None = None,
    video: str | None = None,
    output: str = ".",
    json_file: str | None = None,
) -> int:
    """Checks the machine and the given inputs, and prints a line for each finding.

    Args:
      image: A portrait.
      audio: An audio file, or a video with an audio track.
      checkpoint: A workdir, a checkpoint step, an exported bundle or a model's name.
      video: A video whose provenance is read.
      output: Folder for the drawing of the portrait.
      json_file: File for all findings.

    Returns:
      The exit code: 2 if a finding is an error, else 0.

    Raises:
      UserError: The results cannot be written.
    """
    folder = pathlib.Path(output)
    for flag, target in (("--output", folder), ("--json", pathlib.Path(json_file or ".").parent)):
        if not target.is_dir():
            raise UserError(f"{flag}: there is no folder {target}; make it first")
        if not os.access(target, os.W_OK):
            raise UserError(f"{flag}: the folder {target} is not writable; give another")
    findings = []
    paths = {"checkpoint": checkpoint, "image": image, "audio": audio, "video": video}
    for finding in _findings(folder, paths):
        print(finding, flush=True)
        findings.append(finding)
    counts = collections.Counter(finding.level for finding in findings)
    code = 2 if counts[ERROR] else 0
    print(", ".join(f"{level}s: {counts[level]}" for level in (ERROR, WARNING)))
    if json_file:
        contents = {"exit_code": code, "findings": [finding.json for finding in findings]}
        files.write_atomically(json_file, (json.dumps(contents, indent=2) + "\n").encode())
    return code


def _findings(folder: pathlib.Path, paths: Mapping[str, str | None]) -> Iterator[Finding]:
    for topic, check in machine.checks(folder).items():
        yield from run_check(topic, check)
    if not any(paths.values()):
        return
    # Imported here, since one of its own imports may be what is missing.
    try:
        from s2f_jax.diagnostics.inputs import InputChecks
    except ImportError as error:
        yield Finding(ERROR, f"cannot be checked ({error}): see packages above", topic="inputs")
        return
    checks = InputChecks(folder)
    for topic, path in paths.items():
        if path:
            examine = getattr(checks, f"examine_{topic}")
            yield from run_check(topic, functools.partial(examine, path))
    if checks.animator:
        yield from run_check("speed", checks.measure_speed)
