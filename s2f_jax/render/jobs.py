"""What one call of `generate` is to make, checked before any work."""

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
    """One video to make."""

    image: str
    audio: str
    seed: int
    output: str


def plan_jobs(
    images: Sequence[str], audios: Sequence[str], output: str, seed: int, num_samples: int
) -> list[JobSpec]:
    """One image and N sounds, N images and one sound, or N pairs; each with seeds seed, seed + 1 ...

    One video is the file `output`; of several, `output` is the folder.

    Raises UserError for what cannot be: counts, names, places, seeds.
    """
    images, audios = _names("image", images), _names("audio", audios)
    if num_samples < 1:
        raise UserError(f"--num_samples={num_samples} is out of range: give 1 or more")
    check_seeds(seed, seed + num_samples - 1)
    count = max(len(images), len(audios))
    if not {len(images), len(audios)} <= {1, count}:
        raise UserError(
            f"{len(images)} images and {len(audios)} sounds make no pairs: give as many of both, or"
            " one of either"
        )
    images, audios = (list(names) * (count // len(names)) for names in (images, audios))
    pairs = list(zip(images, audios, strict=True))
    if count * num_samples == 1:
        jobs = [JobSpec(*pairs[0], seed, output)]
        _check_file(output)
    else:
        jobs = [
            JobSpec(image, audio, seed + i, _file(output, image, audio, seed + i, num_samples))
            for (image, audio), i in itertools.product(pairs, range(num_samples))
        ]
        _check_folder(output, jobs)
    _check_inputs(jobs)
    return jobs


def _names(flag: str, given: Sequence[str]) -> list[str]:
    """File names, also those that stand in one value with commas between them."""
    each = ([value] if os.path.exists(value) else value.split(",") for value in given)
    names = [name for name in itertools.chain(*each) if name]
    if not names:
        raise UserError(f"--{flag} names no file: give one")
    return names


def _file(folder: str, image: str, audio: str, seed: int, num_samples: int) -> str:
    stem = f"{pathlib.Path(image).stem}_{pathlib.Path(audio).stem}"
    return os.path.join(folder, f"{stem}_{seed}.mp4" if num_samples > 1 else f"{stem}.mp4")


def _check_file(output: str) -> None:
    target = epath.Path(output)
    if target.suffix.lower() != ".mp4":
        raise UserError(f"--output={output} does not end in .mp4: give a name that does")
    if target.is_dir():
        raise UserError(f"--output={output} is a folder: give another name")
    _check_writable(output, target.parent)


def _check_folder(output: str, jobs: Sequence[JobSpec]) -> None:
    target = epath.Path(output)
    if target.suffix.lower() == ".mp4" and not target.is_dir():
        raise UserError(f"--output={output} is one file for {len(jobs)} videos: give a folder")
    if target.exists() and not target.is_dir():
        raise UserError(f"--output={output} is a file, and {len(jobs)} videos need a folder")
    _check_writable(output, target if target.exists() else target.parent)
    sources: dict[str, JobSpec] = {}
    for job in jobs:
        name = job.output.casefold()  # Some systems know no other case.
        if name in sources:
            raise UserError(
                f"{sources[name].image} with {sources[name].audio} and {job.image} with {job.audio}"
                f" would both be {job.output}: rename one, or make them in two calls"
            )
        sources[name] = job


def _check_writable(output: str, folder: epath.Path) -> None:
    if not folder.is_dir():
        raise UserError(f"--output={output}: there is no folder {folder}; make it first")
    if not files.is_remote(output) and not os.access(folder, os.W_OK):
        raise UserError(f"--output={output}: the folder {folder} cannot be written to")


def _check_inputs(jobs: Sequence[JobSpec]) -> None:
    """A video must not take the place of what it is made from."""
    inputs = {os.path.realpath(name) for job in jobs for name in (job.image, job.audio)}
    for job in jobs:
        if os.path.realpath(job.output) in inputs:
            raise UserError(f"--output={job.output} is also what to read: give another name")
