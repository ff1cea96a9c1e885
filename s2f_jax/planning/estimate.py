"""The least time that a compiled step can take on a chip, and what holds it up (a roofline model)."""

from typing import NamedTuple

from s2f_jax.planning import counts, hlo
from s2f_jax.planning.chips import Chip

# Rounds of a collective around a ring of n chips, in units of what each gets: all-reduce gets everything twice.
_ROUNDS = {"all-reduce": 2.0}


class Estimate(NamedTuple):
    """Seconds of a step.

    Each instruction takes as long as its products or its traffic with main memory at the chip's peak, whichever is
    longer, and none runs beside another one; each kernel of a GPU is launched by itself; collectives wait
    for the links.

    Attributes:
      products: Of the instructions that wait for products.
      memory: Of those that wait for main memory.
      launches: Between the instructions.
      links: Of collectives.
    """

    products: float
    memory: float
    launches: float
    links: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)

    @property
    def bound(self) -> str:
        """What most of it is for."""
        return max(self._fields, key=lambda name: getattr(self, name))


def estimate(module: hlo.Module, counted: counts.Counts, chip: Chip) -> Estimate:
    """Estimates a step.

    Args:
      module: The optimized program of one device.
      counted: Its counts.
      chip: The device.

    Returns:
      The estimate.
    """
    of_products = of_memory = 0.0
    for work in counts.work(module):
        peak = chip.products if work.half else chip.products_float32
        by_products, by_memory = 2 * work.products / peak, work.bytes / chip.bandwidth
        of_products += work.times * (by_products if by_products > by_memory else 0)
        of_memory += work.times * (by_memory if by_products <= by_memory else 0)
    launched = counted.kernels + counted.kernels_in_loops
    links = sum(
        _ROUNDS.get(each.kind, 1.0) * each.bytes * (each.group - 1) / max(each.group, 1)
        for each in counted.collectives
    )
    return Estimate(of_products, of_memory, chip.launch * launched, links / chip.link)
