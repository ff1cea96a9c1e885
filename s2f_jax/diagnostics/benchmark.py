"""`benchmark`: measures how fast a config trains, generates, loads and saves on this machine."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset
from data_pipelines.prepare import data_dir as shards_dir
from s2f_jax import train
from s2f_jax.config.schema import Config
from s2f_jax.diagnostics.benchmark_sections import SECTIONS, Workload
from s2f_jax.runs import checks, cost, workdir


def benchmark(
    config: Config,
    data_dir: str | None = None,
    *,
    json_file: str | None = None,
    compare: str | None = None,
    only: str | None = None,
    seconds: float = 5,
    manual_dir: str | None = None,
) -> dict[str, Any]:
    """Measures sections of a config's pipeline and prints a table while doing so.

    Args:
      config: The config.
      data_dir: Folder of the shards; None: the default.
      json_file: File for the result.
      compare: File of an earlier result, printed beside this one.
      only: Names of sections, separated by commas; None: all.
      seconds: Seconds for which each figure is measured, but at least MIN_RUNS runs.
      manual_dir: Folder of the corpus's raw clips, for the section "prepare".

    Returns:
      Median of each figure by its name; "quartiles" and "runs" by the same names; and the
      environment: device, versions, commit and sizes.

    Raises:
      UserError: A section is unknown, or a file cannot be used.
    """
    sections = _sections(only)
    if not seconds >= 0:
        raise UserError(f"--seconds={seconds}: must be a number of at least 0")
    _check_output(json_file)
    saved, saved_figures = _read_saved(compare) if compare else ({}, {})
    checks.check_devices(config)
    if not config.clip_frames:
        shards = shards_dir(config.data, data_dir)
        config = train.with_clip_frames(config, dataset.open_dataset(config.data, "train", shards))
    environment = _environment(config)
    commit, version = environment["commit"], environment["versions"]["s2f_jax"]
    made_by = f"commit {commit}" if commit else f"version {version}"
    print(
        f"{config.name}: batches of {config.batch_size} clips of {config.clip_frames} frames,"
        f" {config.model.dtype}; {environment['devices']} of {environment['device']},"
        f" {environment['cores']} cores; {made_by}"
    )
    if saved:
        _print_differences(environment, saved, str(compare))
    print(_row("", "median", "quartiles", "runs", *(("saved", "ratio") if saved else ())))
    workload = Workload(config, seconds, data_dir, manual_dir)
    medians, quartiles, counts = {}, {}, {}
    for name in sections:
        for figure, values in SECTIONS[name](workload).items():
            low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
            medians[figure], quartiles[figure] = float(median), [float(low), float(high)]
            counts[figure] = len(values)
            line = _line(figure, float(median), quartiles[figure], len(values), saved_figures)
            print(line, flush=True)
    if saved:
        print("~: the quartiles overlap, so the difference may be chance")
    result = {**medians, "quartiles": quartiles, "runs": counts, **environment}
    if json_file:
        files.write_atomically(json_file, (json.dumps(result, indent=2) + "\n").encode())
    return result


def _sections(only: str | None) -> Sequence[str]:
    if only is None:
        return list(SECTIONS)
    names = only.split(",")
    for name in names:
        if name not in SECTIONS:
            raise UserError(
                f"--only={only}: there is no section {name!r}; give some of {', '.join(SECTIONS)}"
            )
    return names


def _check_output(json_file: str | None) -> None:
    # Before any work is done.
    if json_file:
        target = epath.Path(json_file)
        if target.is_dir() or not target.parent.is_dir():
            raise UserError(f"--json={json_file}: must be a file in an existing folder")


def _read_saved(path: str) -> tuple[dict[str, Any], dict[str, list[float]]]:
    # The saved result, and each figure's median and quartiles.
    try:
        saved = json.loads(epath.Path(path).read_text())
        figures = {
            name: [float(saved[name]), *map(float, quartiles)]
            for name, quartiles in saved["quartiles"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"--compare={path} cannot be read ({type(error).__name__}, {error}): give a file that"
            " `benchmark --json` wrote"
        ) from error
    return saved, figures


def _environment(config: Config) -> dict[str, Any]:
    run = workdir.describe(config.seed)
    return {
        "device": run["devices"][0],
        "devices": len(run["devices"]),
        "cores": os.cpu_count(),
        "commit": run["git"]["commit"] + ("+changes" if run["git"]["dirty"] else ""),
        "versions": run["versions"],
        "config": config.name,
        "batch_size": config.batch_size,
        "clip_frames": config.clip_frames,
        "dtype": config.model.dtype,
    }


def _print_differences(here: Mapping[str, Any], saved: Mapping[str, Any], path: str) -> None:
    for field in ("device", "devices", "cores", "config", "batch_size", "clip_frames", "dtype"):
        if here[field] != saved.get(field):
            print(f"{field} is {here[field]} here and {saved.get(field)} in {path}")


def _line(
    figure: str, median: float, quartiles: list[float], count: int, saved: Mapping[str, list[float]]
) -> str:
    low, high = quartiles
    spread = f"{cost.si(low)} - {cost.si(high)}" if count > 1 else ""
    cells = [figure, cost.si(median), spread, str(count)]
    if figure in saved:
        saved_median, saved_low, saved_high = saved[figure]
        ratio = median / saved_median if saved_median else float("nan")
        overlap = low <= saved_high and saved_low <= high
        cells += [cost.si(saved_median), f"{ratio:.2f}{' ~' if overlap else '  '}"]
    return _row(*cells)


def _row(figure: str, *cells: str) -> str:
    widths = (10, 22, 6, 10, 9)
    return f"{figure:34}" + "".join(f"{x:>{n}}" for x, n in zip(cells, widths, strict=False))
