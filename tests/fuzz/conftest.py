"""What the cases are made of: a tiny run, one that is not finite, a bundle, and a worker."""

import jax
import numpy as np
import pytest

from s2f_jax.export.export import export_bundle
from tests.fuzz.fuzz_process import Worker
from tests.tiny_generator import tiny_config, tiny_run, tiny_state


@pytest.fixture(scope="session")
def materials(tmp_path_factory):
    """Folders by name; not to be written to."""
    folder = tmp_path_factory.mktemp("materials")
    state = tiny_state(tiny_config())
    run = tiny_run(folder / "run", state=state)
    params = jax.tree.map(lambda leaf: leaf * np.float32(np.nan), state.params)
    nan_run = tiny_run(folder / "nan_run", state=state.replace(params=params))
    export_bundle(str(run), str(folder / "bundle"))
    return {"run": run, "nan_run": nan_run, "bundle": folder / "bundle"}


@pytest.fixture(scope="session")
def worker():
    worker = Worker(jax.config.jax_compilation_cache_dir)
    yield worker
    worker.close()
