import hashlib
import os

import pytest

from data_pipelines import prepare
from data_pipelines.aligning import shards, worker_pool
from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks
from tests.data_pipelines import stand_in_prepare
from tests.data_pipelines.stand_in_prepare import data

IN_MEMORY = "runner=DirectRunner,direct_running_mode=in_memory"
PROCESSES = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"
REAL = "S2F_FACE_LANDMARKER" in os.environ and "S2F_GRID" in os.environ


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", exc_type=ImportError)
    monkeypatch.setattr(landmarks, "FaceFinder", stand_in_prepare.Finder)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)
    monkeypatch.setattr(shards, "SHARD_BYTES", 400_000)
    stand_in_prepare.write_corpus(tmp_path / "grid")
    (tmp_path / "grid" / "s1" / "bbaf2a.mpg").write_bytes(b"no video")
    return tmp_path / "grid"


def made(summary):
    """{file: its sum} of the shards and what stands beside them."""
    folder = prepare.pathlib.Path(summary["path"])
    files = [*folder.iterdir(), folder.parent / "quarantine.json"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_beam_makes_the_same_bytes(corpus, tmp_path, monkeypatch):
    form = data(max_bad_share=0.1)
    here = prepare.prepare(form, corpus, tmp_path / "here")
    assert here["quarantined"] == 1 and len(made(here)) > 6
    monkeypatch.setattr(
        worker_pool, "_align_each", None
    )  # It would be an error to align after Beam.
    beam = prepare.prepare(form, corpus, tmp_path / "beam", IN_MEMORY)
    assert made(beam) == made(here)


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="S2F_FACE_LANDMARKER and S2F_GRID say where the real ones are")
def test_processes_of_beam_make_the_same_bytes(tmp_path):
    pytest.importorskip("apache_beam", exc_type=ImportError)
    form = data(height=128, width=96, speakers=("s2", "s4"), prepare_workers=2)
    here = prepare.prepare(form, os.environ["S2F_GRID"], tmp_path / "here")
    beam = prepare.prepare(form, os.environ["S2F_GRID"], tmp_path / "beam", PROCESSES)
    assert made(beam) == made(here)


def test_options_without_a_runner_are_told(corpus, tmp_path):
    with pytest.raises(UserError, match="names no runner: begin with e.g. runner=DirectRunner"):
        prepare.prepare(data(), corpus, tmp_path / "data", "direct_num_workers=2")


def test_without_beam_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(prepare.sys.modules, "apache_beam", None)
    monkeypatch.setitem(prepare.sys.modules, "apache_beam.options", None)
    with pytest.raises(UserError, match=r"needs Apache Beam .* pip install 's2f_jax\[beam\]'"):
        prepare.prepare(data(), None, tmp_path, IN_MEMORY)
    assert list(tmp_path.iterdir()) == []
