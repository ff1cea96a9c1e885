"""`benchmark`: how fast a config trains, generates, loads and saves on this machine."""

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
from s2f_jax.diagnostics.benchmark_sections import SECTIONS, Bench
from s2f_jax.runs import cost, workdir


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
    """Measures the sections in `only` (separated by commas; None: all), prints a table as it goes.

    seconds: for each figure, which gets LEAST runs however long they take.
    Returns what is written to json_file: each figure's median by its name, its quartiles, its
    number of runs, and what it was measured on.
    Raises UserError for sections that there are not, and for files that cannot be used.
    """
    sections = _sections(only)
    if not seconds >= 0:
        raise UserError(f"--seconds={seconds} is out of range: give 0 or more")
    _check_output(json_file)
    saved, before = _read(compare) if compare else ({}, {})
    train.check_devices(config)
    if not config.clip_frames:
        shards = shards_dir(config.data, data_dir)
        config = train.with_clip_frames(config, dataset.open_dataset(config.data, "train", shards))
    made = _describe(config)
    print(
        f"{config.name}: batches of {config.batch_size} clips of {config.clip_frames} frames,"
        f" {config.model.dtype}; {made['devices']} of {made['device']}, {made['cores']} cores;"
        f" commit {made['commit']}"
    )
    if saved:
        _say_what_differs(made, saved, str(compare))
    print(_row("", "median", "quartiles", "runs", *(("saved", "ratio") if saved else ())))
    bench, figures = Bench(config, seconds, data_dir, manual_dir), {}
    quartiles, counts = {}, {}
    for name in sections:
        for figure, values in SECTIONS[name](bench).items():
            low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
            figures[figure], quartiles[figure] = float(median), [float(low), float(high)]
            counts[figure] = len(values)
            print(
                _line(figure, figures[figure], quartiles[figure], len(values), before), flush=True
            )
    if saved:
        print("~: the quartiles overlap, so that the difference may be chance")
    result = {**figures, "quartiles": quartiles, "runs": counts, **made}
    if json_file:
        files.write_atomically(
            epath.Path(json_file), (json.dumps(result, indent=2) + "\n").encode()
        )
    return result


def _sections(only: str | None) -> Sequence[str]:
    if only is None:
        return list(SECTIONS)
    names = only.split(",")
    for name in names:
        if name not in SECTIONS:
            raise UserError(
                f"--only={only}: there is no section {name!r}; give {', '.join(SECTIONS)}"
            )
    return names


def _check_output(json_file: str | None) -> None:
    """What can be known before the work."""
    if json_file:
        target = epath.Path(json_file)
        if target.is_dir() or not target.parent.is_dir():
            raise UserError(f"--json={json_file} cannot be a file there: give another name")


def _read(path: str) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """-> what was saved, and of each figure the median and the quartiles."""
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


def _describe(config: Config) -> dict[str, Any]:
    made = workdir.describe(config.seed)
    return {
        "device": made["devices"][0],
        "devices": len(made["devices"]),
        "cores": os.cpu_count(),
        "commit": made["git"]["commit"] + ("+changes" if made["git"]["dirty"] else ""),
        "versions": made["versions"],
        "config": config.name,
        "batch_size": config.batch_size,
        "clip_frames": config.clip_frames,
        "dtype": config.model.dtype,
    }


def _say_what_differs(made: Mapping[str, Any], saved: Mapping[str, Any], path: str) -> None:
    for field in ("device", "devices", "cores", "config", "batch_size", "clip_frames", "dtype"):
        if made[field] != saved.get(field):
            print(f"{field} is {made[field]} here and {saved.get(field)} in {path}")


def _line(
    figure: str, median: float, quartiles: list[float], count: int, saved: Mapping[str, list[float]]
) -> str:
    low, high = quartiles
    spread = f"{cost.si(low)} - {cost.si(high)}" if count > 1 else ""
    cells = [figure, cost.si(median), spread, str(count)]
    if figure in saved:
        before, before_low, before_high = saved[figure]
        ratio = median / before if before else float("nan")
        overlap = low <= before_high and before_low <= high
        cells += [cost.si(before), f"{ratio:.2f}{' ~' if overlap else '  '}"]
    return _row(*cells)


def _row(figure: str, *cells: str) -> str:
    widths = (10, 22, 6, 10, 9)
    return f"{figure:34}" + "".join(f"{x:>{n}}" for x, n in zip(cells, widths, strict=False))
