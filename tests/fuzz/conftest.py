"""What the cases are made of: a tiny run, one that is not finite, a bundle, and a worker."""

import jax
import numpy as np
import pytest
from etils import epath
from fuzz_process import Worker

from s2f_jax import runs
from s2f_jax.checkpoint import Checkpoints
from s2f_jax.export import export
from tests.s2f_jax.conftest import tiny_config, tiny_state


def _saved(state, folder):
    runs.write_config(tiny_config(), epath.Path(folder))
    checkpoints = Checkpoints(folder)
    checkpoints.save(state, {}, {}, 20.0)
    checkpoints.close()
    return folder


@pytest.fixture(scope="session")
def materials(tmp_path_factory):
    """Folders by name; not to be written to."""
    folder = tmp_path_factory.mktemp("materials")
    state = tiny_state(tiny_config())
    run = _saved(state, folder / "run")
    params = jax.tree.map(lambda leaf: leaf * np.float32(np.nan), state.params)
    nan_run = _saved(state.replace(params=params), folder / "nan_run")
    export(str(run), str(folder / "bundle"))
    return {"run": run, "nan_run": nan_run, "bundle": folder / "bundle"}


@pytest.fixture(scope="session")
def worker():
    worker = Worker(jax.config.jax_compilation_cache_dir)
    yield worker
    worker.close()
