"""A run small enough to make by hand: a fresh generator of 16x12 pixels, and its checkpoint; and
shards to train on."""

import pytest
from etils import epath

from data_pipelines import prepare
from s2f_jax import runs
from s2f_jax.animate import Animator
from s2f_jax.checkpoint import Checkpoints
from s2f_jax.export import export
from tests import tiny
from tests.tiny_generator import tiny_config, tiny_state


@pytest.fixture
def config():
    return tiny_config()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """The workdir of a run, with one checkpoint at step 3; not to be written to."""
    config, folder = tiny_config(), epath.Path(tmp_path_factory.mktemp("runs") / "tiny")
    runs.write_config(config, folder)
    checkpoints = Checkpoints(folder)
    checkpoints.save(tiny_state(config), {}, {}, 20.0)
    checkpoints.close()
    return folder


@pytest.fixture(scope="session")
def animator(run_folder):
    return Animator.load(run_folder)


@pytest.fixture(scope="session")
def bundle_folder(run_folder, tmp_path_factory):
    """That run exported in every format; not to be written to."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    export(str(run_folder), str(folder), formats="stablehlo,onnx")
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """Those of tests/tiny.py; not to be written to."""
    folder = tmp_path_factory.mktemp("shards")
    prepare.prepare(tiny.get_config().data, None, folder)
    return str(folder)
