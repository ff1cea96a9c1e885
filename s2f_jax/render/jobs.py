"""The videos that one call of `generate` makes, planned and checked before any work."""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Sequence

from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from s2f_jax.rngs import check_seeds


@dataclasses.dataclass(frozen=True)
class JobSpec:
    """One video to make.

    Attributes:
      image: The portrait's or crop's file.
      audio: The audio's file.
      seed: Seed of the spontaneous motion.
      output: The mp4 to write.
    """

    image: str
    audio: str
    seed: int
    output: str


def plan_jobs(
    images: Sequence[str], audios: Sequence[str], output: str, seed: int, num_samples: int
) -> list[JobSpec]:
    """Pairs images with audio files: one with N, N with one, or N with N.

    Args:
      images: File names; one value may hold several, with commas.
      audios: Names of the audio files, in the same way.
      output: The file to write, or of several videos the folder.
      seed: Seed of each pair's first video.
      num_samples: Videos per pair, with the seeds seed, seed + 1, ...

    Returns:
      The jobs.

    Raises:
      UserError: The numbers of files, a name, a folder or a seed is wrong.
    """
    images, audios = _split_names("image", images), _split_names("audio", audios)
    if num_samples < 1:
        raise UserError(f"--num_samples={num_samples}: must be 1 or more")
    check_seeds(seed, seed + num_samples - 1)
    count = max(len(images), len(audios))
    if not {len(images), len(audios)} <= {1, count}:
        raise UserError(
            f"{len(images)} images and {len(audios)} audio files make no pairs: give as many of"
            " both, or one of either"
        )
    images, audios = (list(names) * (count // len(names)) for names in (images, audios))
    pairs = list(zip(images, audios, strict=True))
    if count * num_samples == 1:
        jobs = [JobSpec(*pairs[0], seed, output)]
        _check_file(output)
    else:
        jobs = [
            JobSpec(image, audio, seed + i, _file_name(output, image, audio, seed + i, num_samples))
            for (image, audio), i in itertools.product(pairs, range(num_samples))
        ]
        _check_folder(output, jobs)
    _check_inputs(jobs)
    return jobs


def _split_names(flag: str, values: Sequence[str]) -> list[str]:
    # A name that exists may itself contain a comma.
    parts = ([value] if os.path.exists(value) else value.split(",") for value in values)
    names = [name for name in itertools.chain(*parts) if name]
    if not names:
        raise UserError(f"--{flag} names no file: give one")
    return names


def _file_name(folder: str, image: str, audio: str, seed: int, num_samples: int) -> str:
    stem = f"{pathlib.Path(image).stem}_{pathlib.Path(audio).stem}"
    return os.path.join(folder, f"{stem}_{seed}.mp4" if num_samples > 1 else f"{stem}.mp4")


def _check_file(output: str) -> None:
    if epath.Path(output).suffix.lower() != ".mp4":
        raise UserError(f"--output={output}: must end in .mp4")
    check_output_file("output", output)
    _check_writable(output, epath.Path(output).parent)


def _check_folder(output: str, jobs: Sequence[JobSpec]) -> None:
    target = epath.Path(output)
    if target.suffix.lower() == ".mp4" and not target.is_dir():
        raise UserError(f"--output={output} is one file for {len(jobs)} videos: give a folder")
    if target.exists() and not target.is_dir():
        raise UserError(
            f"--output={output} is a file, and {len(jobs)} videos need a folder: give one"
        )
    if not target.exists():
        check_output_file("output", output)
    _check_writable(output, target if target.exists() else target.parent)
    jobs_by_name: dict[str, JobSpec] = {}
    for job in jobs:
        name = job.output.casefold()  # Some file systems ignore case.
        if name in jobs_by_name:
            other = jobs_by_name[name]
            raise UserError(
                f"{other.image} with {other.audio} and {job.image} with {job.audio} would both be"
                f" {job.output}: rename one, or make them in two calls"
            )
        jobs_by_name[name] = job


def check_output_file(flag: str, output: str) -> None:
    """Checks that a path can be that of a file to write.

    Args:
      flag: The flag that names the file.
      output: The file.

    Raises:
      UserError: The output is a folder, or its folder does not exist.
    """
    target = epath.Path(output)
    if target.is_dir():
        raise UserError(f"--{flag}={output} is a folder: give the name of a file")
    if not target.parent.is_dir():
        raise UserError(f"--{flag}={output}: there is no folder {target.parent}; make it first")


def _check_writable(output: str, folder: epath.Path) -> None:
    # Videos are renamed into place, so that the folder counts, not a file in it.
    if not files.is_remote(output) and not os.access(folder, os.W_OK):
        raise UserError(
            f"--output={output}: the folder {folder} cannot be written to; give another"
        )


def _check_inputs(jobs: Sequence[JobSpec]) -> None:
    inputs = {os.path.realpath(name) for job in jobs for name in (job.image, job.audio)}
    for job in jobs:
        if os.path.realpath(job.output) in inputs:
            raise UserError(f"--output={job.output} is also an input: give another name")
