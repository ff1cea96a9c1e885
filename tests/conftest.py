"""Several CPU devices, no silent rank promotion, absl flags as a program would have them."""

import getpass
import os
import pathlib
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [
        "--xla_force_host_platform_device_count=4",
        "--xla_backend_optimization_level=0",  # Most of a test's time is compiling.
        "--xla_llvm_disable_expensive_passes=true",
    ]
)

import jax
import pytest
from absl import flags

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")  # Else TF32 on GPUs, bfloat16 on TPUs.
# The same step is compiled by several tests and by both pytest workers.
cache = pathlib.Path(tempfile.gettempdir()) / f"s2f_jax-tests-{getpass.getuser()}"
jax.config.update("jax_compilation_cache_dir", str(cache))
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="module", autouse=True)
def programs_end_with_their_file():
    """Or a worker holds those of all tests it has run, which are gigabytes."""
    yield
    jax.clear_caches()
