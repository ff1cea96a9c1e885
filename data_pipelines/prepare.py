"""Prepares a corpus: finds its builder, makes the shards, prints a summary."""

import contextlib
import dataclasses
import fcntl
import importlib
import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.aligning import base_builder
from data_pipelines.common.errors import UserError
from data_pipelines.common.files import is_remote
from data_pipelines.contract import CorpusConfig


def data_dir(data: Mapping[str, Any], flag: str | None = None) -> str:
    """Determines where data sets are: the flag, the config, TFDS_DATA_DIR, TFDS's own default.

    Args:
      data: The config's section `data` (configs/base.py).
      flag: Value of --data_dir, if given.

    Returns:
      The folder.
    """
    default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return os.path.expanduser(flag or data["dir"] or default)


def corpus_names() -> list[str]:
    """Lists the corpora, which are the packages here that have a builder.

    Returns:
      The values that config.data.corpus can have, sorted.
    """
    builders = pathlib.Path(__file__).parent.glob("*/*_dataset_builder.py")
    return sorted(path.parent.name for path in builders)


def prepare(
    data: Mapping[str, Any],
    manual_dir: str | os.PathLike | None,
    data_dir: str | os.PathLike,
    beam_pipeline_options: str = "",
) -> dict[str, Any]:
    """Makes the shards of a corpus, unless they are there.

    Args:
      data: The config's section `data` (configs/base.py).
      manual_dir: A copy of the corpus; None: it is downloaded or drawn.
      data_dir: Folder of the shards, which need not exist.
      beam_pipeline_options: "runner=...,NAME=VALUE,...", to let Apache Beam do the work, with the
        same shards as result.

    Returns:
      Keys: corpus, path, clips ({split: count}) and quarantined (a count).

    Raises:
      UserError: There is no such corpus, or its builder finds a mistake.
    """
    corpus, start = data["corpus"], time.monotonic()
    builder = make_builder(data, manual_dir, data_dir)
    exists = builder.data_path.exists()
    if not exists:
        if is_remote(data_dir):
            raise UserError(
                f"--data_dir={data_dir} is remote, and array_record writes only local files:"
                " prepare into a local folder and copy it there"
            )
        beam = _beam_config(corpus, builder, beam_pipeline_options)
        with _exclusive(epath.Path(data_dir), corpus):
            # Made anew, since another run may have completed the shards in the meantime.
            builder = make_builder(data, manual_dir, data_dir)
            if not sys.stderr.isatty():
                tfds.disable_progress_bar()
            _remove_partial_files(pathlib.Path(builder.data_path.parent))
            builder.download_and_prepare(download_config=beam)
    summary = {
        "corpus": corpus,
        "path": str(builder.data_path),
        "clips": {split: info.num_examples for split, info in builder.info.splits.items()},
        "quarantined": _quarantined_count(builder),
    }
    counts = ", ".join(f"{count} {split}" for split, count in summary["clips"].items())
    state = "was there already (delete it to make it again)"
    if not exists:
        state = f"made in {time.monotonic() - start:.0f} s"
    print(f"{corpus} {state}: {counts}, {summary['quarantined']} quarantined: {summary['path']}")
    return summary


def prepared_builder(
    data: Mapping[str, Any], manual_dir: str | os.PathLike | None, data_dir: str | os.PathLike
) -> tfds.core.DatasetBuilder:
    """Makes the builder of shards that exist.

    Args:
      data: The config's section `data` (configs/base.py).
      manual_dir: A copy of the corpus, which is not read.
      data_dir: Folder of the shards.

    Returns:
      The TFDS builder.

    Raises:
      UserError: There are no shards, or they were made with other options.
    """
    builder = make_builder(data, manual_dir, data_dir)
    if not builder.data_path.exists():
        raise UserError(
            f"there are no shards in {builder.data_path}: run `s2f prepare` with this config first"
        )
    return builder


def make_builder(
    data: Mapping[str, Any], manual_dir: str | os.PathLike | None, data_dir: str | os.PathLike
) -> tfds.core.DatasetBuilder:
    """Makes a corpus's builder: the `Builder` of its module, with a config of `Builder.CONFIG`.

    Args:
      data: The config's section `data` (configs/base.py).
      manual_dir: A copy of the corpus; None: it is downloaded or drawn.
      data_dir: Folder of the shards, which need not exist.

    Returns:
      The TFDS builder.

    Raises:
      UserError: There is no such corpus, it takes no manual_dir, speakers or one of the options,
        an option has an invalid value, or data_dir holds the corpus with other options.
    """
    corpus = data["corpus"]
    if corpus not in corpus_names():
        raise UserError(
            f"There is no corpus {corpus!r}; config.data.corpus is one of "
            f"{', '.join(corpus_names())}."
        )
    module = importlib.import_module(f"data_pipelines.{corpus}.{corpus}_dataset_builder")
    config_class: type[CorpusConfig] = module.Builder.CONFIG
    names = {field.name for field in dataclasses.fields(config_class)}
    shared = {name: data[name] for name in ("height", "width", "audio_rate", "fps")}
    shared |= {name: data[name] for name in ("max_seconds", "max_filled")}
    shared |= {"manual_dir": os.fspath(manual_dir or ""), "speakers": tuple(data["speakers"])}
    shared |= {"max_bad_share": data["max_bad_share"], "workers": data["prepare_workers"]}
    for name in ("manual_dir", "speakers"):
        if shared[name] and name not in names:
            raise UserError(f"The corpus {corpus} takes no {name}; leave out {shared[name]!r}.")
    if unknown := set(data["options"]) - set(config_class.options()):
        raise UserError(f"The corpus {corpus} has no option {min(unknown)!r}; leave it out.")
    shared = {name: value for name, value in shared.items() if name in names}
    config = config_class(**shared, **data["options"])
    builder = module.Builder(config=config, data_dir=data_dir)
    # Shards that are older than an option were made with its default.
    metadata = config_class().content() | dict(builder.info.metadata or {})
    for name, wanted in config.content().items():
        if (present := metadata[name]) != wanted:
            present, wanted = (
                value if value not in ([], "") else "all" for value in (present, wanted)
            )
            raise UserError(
                f"{builder.data_path} holds the corpus with {name}={present}, not {wanted}: delete "
                "that folder (aligned clips stay in the cache beside it) or choose another "
                "--data_dir."
            )
    return builder


def _beam_config(
    corpus: str, builder: tfds.core.DatasetBuilder, options: str
) -> tfds.download.DownloadConfig | None:
    # --beam_pipeline_options as TFDS takes it; None: no Beam.
    if not options:
        return None
    if not isinstance(builder, base_builder.RecordedBuilder):
        raise UserError(f"The corpus {corpus} takes no --beam_pipeline_options: leave it out.")
    try:
        from apache_beam.options import pipeline_options
    except ImportError as e:
        raise UserError(
            f"--beam_pipeline_options={options} needs Apache Beam ({e}): "
            "pip install 's2f_jax[beam]'"
        ) from e
    parsed = pipeline_options.PipelineOptions([f"--{option}" for option in options.split(",")])
    runner = parsed.view_as(pipeline_options.StandardOptions).runner
    if not runner:
        raise UserError(
            f"--beam_pipeline_options={options} names no runner: begin with e.g. "
            "runner=DirectRunner,"
        )
    return tfds.download.DownloadConfig(beam_runner=runner, beam_options=parsed)


@contextlib.contextmanager
def _exclusive(data_dir: epath.Path, corpus: str) -> Iterator[None]:
    # Locks the corpus for this process; the system releases the lock however it ends.
    path = pathlib.Path(data_dir) / f".{corpus}.lock"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as e:
        raise UserError(
            f"--data_dir={data_dir} is not a folder that can be written to ({e.strerror}): choose "
            "another."
        ) from e
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = os.path.samestat(os.fstat(lock.fileno()), path.stat())
        except (BlockingIOError, FileNotFoundError):
            locked = False
        if not locked:  # Or the run that held it has just ended, and deleted the file.
            raise UserError(
                f"Another `prepare` of {corpus} is at work in {data_dir}: wait until it has ended, "
                "or choose another --data_dir."
            )
        try:
            yield
        finally:
            path.unlink()


def _remove_partial_files(folder: pathlib.Path) -> None:
    """Removes what killed runs left incomplete; their aligned clips are in the cache."""
    for incomplete in folder.glob("incomplete.*"):
        shutil.rmtree(incomplete)
    for file in folder.rglob(".*.part"):
        file.unlink()


def _quarantined_count(builder: tfds.core.DatasetBuilder) -> int:
    """Returns the number of clips in the corpus's report; a corpus that is drawn has none."""
    report = builder.data_path.parent / "quarantine.json"
    return len(json.loads(report.read_text())["quarantined"]) if report.exists() else 0
