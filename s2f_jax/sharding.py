"""A mesh of all devices, and the shardings over it of states and batches."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")
Gather = Callable[[Tree], Tree]  # Makes split parameters whole, within a step.

SMALLEST = 2**10  # Numbers; a smaller leaf is not worth splitting.


def mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Makes a mesh of devices.

    Args:
      devices: The devices; None for all of all processes. They need not be there: to compile for them,
        their description will do.

    Returns:
      One axis, 'data'.
    """
    return Mesh(np.array(jax.devices() if devices is None else devices), ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
    """Makes the sharding that replicates an array on every device.

    Args:
      mesh: Mesh of all devices.

    Returns:
      The sharding.
    """
    return NamedSharding(mesh, PartitionSpec())


def by_example(mesh: Mesh) -> NamedSharding:
    """Makes the sharding that splits the leading axis over the devices.

    Args:
      mesh: Mesh of all devices.

    Returns:
      The sharding.
    """
    return NamedSharding(mesh, PartitionSpec("data"))


def state_shardings(mesh: Mesh, state: Any, split: bool) -> Any:
    """Makes the shardings of a training state.

    Args:
      mesh: Mesh of all devices.
      state: Arrays or ShapeDtypeStructs.
      split: Each large leaf is split along its longest axis that the devices share evenly, and
        gathered where it is used (FSDP); else every device holds everything.

    Returns:
      A sharding for each leaf.
    """

    def leaf_sharding(leaf: Any) -> NamedSharding:
        axes = [axis for axis, size in enumerate(leaf.shape) if size % mesh.size == 0]
        if not split or leaf.size < SMALLEST or not axes:
            return replicated(mesh)
        longest = max(axes, key=lambda axis: leaf.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*(None,) * longest, "data"))

    return jax.tree.map(leaf_sharding, state)


def gather(mesh: Mesh) -> Gather:
    """Makes what gathers a tree of split arrays on every device, before they are used.

    Else the partitioner splits activations as the kernels that they meet, and moves these, which are larger.

    Args:
      mesh: Mesh of all devices.

    Returns:
      A function of the tree, for use in a compiled step.
    """
    return lambda tree: jax.lax.with_sharding_constraint(tree, replicated(mesh))


def leave(tree: Tree) -> Tree:
    """Leaves a tree as it is; in place of `gather`, where nothing is split.

    Args:
      tree: The tree.

    Returns:
      The tree.
    """
    return tree


def process_rows(rows: int) -> slice:
    """Selects the rows of a batch that this process makes.

    Args:
      rows: Number of rows of the global batch; a multiple of the process count.

    Returns:
      A slice of them.
    """
    return slice(*(rows * (jax.process_index() + i) // jax.process_count() for i in (0, 1)))


def put(batch: dict[str, np.ndarray], sharding: NamedSharding) -> dict[str, jax.Array]:
    """Puts this process's share of a batch on its devices, as a part of the global batch.

    Args:
      batch: Arrays by name.
      sharding: Sharding of every array.

    Returns:
      Global arrays by name.
    """
    return {name: jax.make_array_from_process_local_data(sharding, x) for name, x in batch.items()}
