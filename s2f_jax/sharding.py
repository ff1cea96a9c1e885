"""One mesh over all devices; what is split over it and what is everywhere."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

SMALLEST = 2**10  # Numbers; a smaller leaf is not worth splitting.


def mesh() -> Mesh:
    """All devices of all processes, along 'data'."""
    return Mesh(np.array(jax.devices()), ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def by_example(mesh: Mesh) -> NamedSharding:
    """The leading axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def of_state(mesh: Mesh, state: Any, split: bool) -> Any:
    """A sharding for each leaf of a training state (of arrays or ShapeDtypeStructs).

    split: each large leaf is split along its longest axis that the devices share evenly, and
    gathered where it is used (FSDP); else every device holds everything.
    """

    def of(leaf: Any) -> NamedSharding:
        axes = [axis for axis, size in enumerate(leaf.shape) if size % mesh.size == 0]
        if not split or leaf.size < SMALLEST or not axes:
            return replicated(mesh)
        longest = max(axes, key=lambda axis: leaf.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*(None,) * longest, "data"))

    return jax.tree.map(of, state)


def process_rows(rows: int) -> slice:
    """Selects the rows of a batch that this process makes.

    Args:
      rows: Of the global batch; a multiple of the process count.

    Returns:
      A slice of them.
    """
    return slice(*(rows * (jax.process_index() + i) // jax.process_count() for i in (0, 1)))


def put(batch: dict[str, np.ndarray], sharding: NamedSharding) -> dict[str, jax.Array]:
    """This process's share of a batch onto its devices, as a part of the global batch."""
    return {
        name: jax.make_array_from_process_local_data(sharding, array)
        for name, array in batch.items()
    }
