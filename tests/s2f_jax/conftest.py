"""A run small enough to make by hand: a fresh generator of 16x12 pixels, and its checkpoint; and
shards to train on."""

import pytest

from data_pipelines import prepare
from s2f_jax.export.export import export_bundle
from s2f_jax.inference.animator import Animator
from tests import tiny
from tests.tiny_generator import tiny_config, tiny_run


@pytest.fixture
def config():
    return tiny_config()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """As tiny_run; not to be written to."""
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def animator(run_folder):
    return Animator.load(run_folder)


@pytest.fixture(scope="session")
def bundle_folder(run_folder, tmp_path_factory):
    """That run exported in every format; not to be written to."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    export_bundle(str(run_folder), str(folder), formats="stablehlo,onnx")
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """Those of tests/tiny.py; not to be written to."""
    folder = tmp_path_factory.mktemp("shards")
    prepare.prepare(tiny.get_config().data, None, folder)
    return str(folder)
