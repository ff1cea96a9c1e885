"""The processes that train together."""

import os
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.common.errors import UserError
from s2f_jax import sharding

# A launcher that jax knows by name, and the variable in which it says how many processes there are.
LAUNCHERS = {"slurm": "SLURM_NTASKS", "ompi": "OMPI_COMM_WORLD_SIZE"}
CURE = "give all of --coordinator=HOST:PORT, --processes=N and --process=I"


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Makes this process one of several, before any other use of jax.

    With a process alone, it does nothing. In this order: 1. the flags, or JAX_COORDINATOR_ADDRESS,
    JAX_NUM_PROCESSES, JAX_PROCESS_ID; 2. Slurm or Open MPI with several tasks; 3. a Cloud TPU,
    whose hosts know each other.

    Args:
      coordinator: HOST:PORT of process 0.
      processes: Number of processes.
      process: Index of this process, from 0.

    Raises:
      UserError: Addresses and numbers do not go together.
    """
    address = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    count = _number("--processes", processes, "JAX_NUM_PROCESSES")
    index = _number("--process", process, "JAX_PROCESS_ID")
    if (address, count, index) != (None, None, None):
        if address is None or count is None or index is None:
            raise UserError(f"of several processes only a part is known: {CURE}")
        if not address.rpartition(":")[2].isdigit() or not 0 <= index < count:
            raise UserError(
                f"--coordinator={address} --processes={count} --process={index} make no cluster:"
                " give HOST:PORT, and processes counted from 0"
            )
        _initialize(
            coordinator_address=address,
            num_processes=count,
            process_id=index,
            cluster_detection_method="deactivate",
        )
        return
    for launcher, size in LAUNCHERS.items():
        if (_number("--processes", None, size) or 1) > 1:
            _initialize(cluster_detection_method=launcher)
            return
    if "TPU_WORKER_HOSTNAMES" in os.environ:  # Set on GKE.
        _initialize(cluster_detection_method="gketpu")
    elif os.path.exists("/dev/accel0") or os.path.exists("/dev/vfio/0"):  # A Cloud TPU's chips.
        try:
            import libtpu  # noqa: F401  # pyright: ignore
        except ImportError:
            return
        _initialize(cluster_detection_method="gcetpu")


def _number(flag: str, given: int | None, variable: str) -> int | None:
    value = os.environ.get(variable) if given is None else given
    if value is None:
        return None
    try:
        return int(value)
    except ValueError as error:
        raise UserError(f"{variable}={value} is no number: give one, or {flag}=N") from error


def _initialize(**how: Any) -> None:
    try:
        jax.distributed.initialize(**how)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes did not find each other ({str(error).splitlines()[0]}): {CURE}"
        ) from error


def leave(code: int) -> None:
    """Ends this process at once where others may wait for it; alone, does nothing.

    An orderly exit would wait for them in turn.

    Args:
      code: Exit code.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class AnyProcess:
    """Whether any process says yes, asked by all of them at the same points of their programs.

    Among several processes the answer is that of the question before, so that nobody waits for it.
    """

    def __init__(self):
        mesh = sharding.mesh()
        self._by_device = sharding.by_example(mesh)
        self._any = jax.jit(jnp.any, out_shardings=sharding.replicated(mesh))
        self._asked: jax.Array | None = None

    def any(self, yes: bool) -> bool:
        """Asks once more.

        Args:
          yes: The value of this process.

        Returns:
          Whether any process said yes.
        """
        if jax.process_count() == 1:
            return yes
        before = self._asked
        votes = np.full(jax.local_device_count(), yes)
        self._asked = self._any(jax.make_array_from_process_local_data(self._by_device, votes))
        return before is not None and bool(before)
