"""Counts what a program does: products, bytes, loops, kernels, collectives."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from s2f_jax.planning.hlo import CALLS, Array, Computation, Instruction, Module, trip_count, uses

Shape = tuple[int, ...]

_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")
COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-permute",
    "reduce-scatter",
    "ragged-all-to-all",
)
# What names, groups or waits for arrays and does nothing by itself.
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id",
    "replica-id", "opt-barrier", "optimization-barrier", "add-dependency", "domain",
}  # fmt: skip


def products(module: Module) -> int:
    """Counts multiplications of the matrix products and convolutions.

    Args:
      module: The program; before it is optimized it has those that were asked for, after it those that
        are made, by whatever device.

    Returns:
      Their number, of those within a convolution's picture; a FLOP count is twice that.
    """
    return sum(
        use.times * _products(module, use.instruction, use.computation) for use in uses(module)
    )


def _products(module: Module, instruction: Instruction, computation: Computation) -> int:
    """Of one instruction and what it fuses."""
    result = instruction.results[0].shape if instruction.results else ()
    first, second = (
        computation[name].results[0].shape if name in computation else ()
        for name in (*instruction.operands, "", "")[:2]
    )
    attributes = instruction.attributes
    if instruction.opcode == "dot" or "__cublas$" in attributes:
        return _dot(first, result, attributes)
    if instruction.opcode == "convolution":
        return _convolution(first, second, result, attributes)
    if kind := re.search(r"__cudnn\$conv(\w+)", attributes):
        if kind[1] == "BackwardInput":
            return _convolution(result, second, first, attributes)
        if kind[1] == "BackwardFilter":
            return _convolution(first, result, second, attributes)
        return _convolution(first, second, result, attributes)
    if instruction.opcode == "fusion":
        inner = module.computations[instruction.called["calls"][0]]
        return sum(_products(module, each, inner) for each in inner.values())
    return 0


def _dot(left: Shape, result: Shape, attributes: str) -> int:
    axes = re.search(r"lhs_contracting_dim(?:s=\{|ensions\":\[)([\d,\"]*)[}\]]", attributes)
    contracted = [int(axis) for axis in re.findall(r"\d+", axes[1])] if axes else []
    return math.prod(result) * math.prod(left[axis] for axis in contracted)


def _convolution(image: Shape, kernel: Shape, out: Shape, attributes: str) -> int:
    labels = _LABELS.search(attributes)
    if not labels:
        raise ValueError("a convolution without dim_labels")
    of_image, of_kernel, of_out = labels.groups()
    batches = re.search(r"batch_group_count=(\d+)", attributes)
    window = _window(attributes)
    total = image[of_image.index("b")] * kernel[of_kernel.index("i")] * out[of_out.index("f")]
    total //= int(batches[1]) if batches else 1
    for axis in sorted(set(of_image) & set("0123456789")):
        sizes = (
            image[of_image.index(axis)],
            kernel[of_kernel.index(axis)],
            out[of_out.index(axis)],
        )
        total *= _pairs(sizes, {field: values[int(axis)] for field, values in window.items()})
    return total


def _window(attributes: str) -> dict[str, list[Shape]]:
    """Of a convolution, by field and axis."""
    text = re.search(r"window=\{([^}]*)\}", attributes)
    fields = dict(field.split("=") for field in text[1].split()) if text else {}
    return {
        field: [tuple(int(n) for n in part.split("_")) for part in value.split("x")]
        for field, value in fields.items()
        if field in ("pad", "stride", "lhs_dilate", "rhs_dilate")
    }


def _pairs(sizes: tuple[int, int, int], window: Mapping[str, Shape]) -> int:
    """Counts, along one axis, the pairs of a kernel's and an image's number that are multiplied."""
    image, kernel, out = sizes
    before = window.get("pad", (0,))[0]
    (stride,), (spread,), (apart,) = (
        window.get(field, (1,)) for field in ("stride", "lhs_dilate", "rhs_dilate")
    )
    total = 0
    for place in range(kernel):
        first = place * apart - before
        total += sum(
            0 <= at <= (image - 1) * spread and at % spread == 0
            for at in range(first, first + out * stride, stride)
        )
    return total


class Collective(NamedTuple):
    """Collectives of one kind over groups of one size.

    Attributes:
      kind: One of COLLECTIVES.
      group: Number of devices in each group.
      number: How many there are in a program.
      bytes: What one device gets from them, bytes.
    """

    kind: str
    group: int
    number: int
    bytes: int


class Counts(NamedTuple):
    """What one device runs in a program.

    Attributes:
      iterations: Of loops, one after the other.
      kernels_in_loops: Instructions that are run within loops.
      kernels: Instructions that are run outside.
      bytes: Read from and written to main memory.
      collectives: By kind and size of the group.
    """

    iterations: int
    kernels_in_loops: int
    kernels: int
    bytes: int
    collectives: tuple[Collective, ...]


class Work(NamedTuple):
    """What one instruction of a device does each time it is run.

    Attributes:
      instruction: The instruction.
      computation: The one that it belongs to.
      times: How often it is run in a program.
      looped: Whether it is within a loop.
      products: Multiplications of matrix products and convolutions.
      half: Whether these are of bfloat16 or float16.
      bytes: Read from main memory and written to it.
    """

    instruction: Instruction
    computation: Computation
    times: int
    looped: bool
    products: int
    half: bool
    bytes: int


def work(module: Module) -> Iterator[Work]:
    """Lists what a device does by itself, in order: loops are not among it, what they contain is.

    Args:
      module: The optimized program of one device.

    Yields:
      The work of each instruction.
    """
    for instruction, computation, times, looped in uses(module):
        opcode = instruction.opcode
        if opcode in _FREE or opcode in CALLS or opcode.endswith(("-done", "-update")):
            continue
        taken = (computation[name].results for name in instruction.operands if name in computation)
        half = any(array.dtype in ("bf16", "f16") for arrays in taken for array in arrays)
        products = _products(module, instruction, computation)
        moved = traffic(module, instruction, computation)
        yield Work(instruction, computation, times, looped, products, half, moved)


def count_program(module: Module) -> Counts:
    """Counts what one device runs.

    Args:
      module: The optimized program of one device.

    Returns:
      The counts.
    """
    kernels = {False: 0, True: 0}
    collectives: dict[tuple[str, int], list[int]] = {}
    seen, moved = set(), 0
    for each in work(module):
        kernels[each.looped] += each.times
        moved += each.times * each.bytes
        for channel, kind, group, size in _collectives(module, each.instruction, each.computation):
            if channel not in seen:  # A TPU's runs beside several fusions, and is named in each.
                seen.add(channel)
                entry = collectives.setdefault((kind, group), [0, 0])
                entry[0] += each.times
                entry[1] += each.times * size
    iterations = sum(
        use.times * trip_count(module, use.instruction)
        for use in uses(module)
        if use.instruction.opcode == "while"
    )
    listed = (Collective(*key, *entry) for key, entry in sorted(collectives.items()))
    return Counts(iterations, kernels[True], kernels[False], moved, tuple(listed))


def _collectives(
    module: Module, instruction: Instruction, computation: Mapping[str, Instruction]
) -> Iterator[tuple[str, str, int, int]]:
    """Channel, kind, size of the groups and bytes of the collectives in an instruction."""
    if instruction.kind in COLLECTIVES:
        channel = re.search(r"channel_id=(\d+)", instruction.attributes)
        size = sum(array.bytes for array in _received(instruction, computation))
        key = channel[1] if channel else instruction.name
        yield key, instruction.kind, group_size(instruction), size
    elif instruction.opcode == "fusion":
        called = instruction.called["calls"][0]
        inner = module.computations[called]
        for each in inner.values():
            for key, kind, group, size in _collectives(module, each, inner):
                if called.startswith("all-reduce-scatter"):
                    kind, size = "reduce-scatter", size // group
                yield key, kind, group, size


def _received(
    instruction: Instruction, computation: Mapping[str, Instruction]
) -> tuple[Array, ...]:
    """The arrays that a collective gives; what starts one has its operands before them."""
    if not instruction.opcode.endswith("-start") or instruction.kind == "all-reduce":
        return instruction.results
    given = sum(len(computation[name].results) for name in instruction.operands)
    return instruction.results[given : 2 * given]


def group_size(instruction: Instruction) -> int:
    """Finds how many devices take part in each group of a collective.

    Args:
      instruction: A collective.

    Returns:
      The number; 2 for a permutation, and 0 if it is not said.
    """
    if instruction.kind == "collective-permute":
        return 2
    if groups := re.search(r"replica_groups=\[\d+,(\d+)\]", instruction.attributes):
        return int(groups[1])
    if groups := re.search(r"replica_groups=mesh\[(.*?)\] \{(.*?)\}", instruction.attributes):
        sizes = dict(axis.split("=") for axis in groups[1].split(","))
        return math.prod(int(sizes[axis]) for axis in groups[2].split(","))
    if groups := re.search(r"replica_groups=\{\{([\d,]+)\}", instruction.attributes):
        return len(groups[1].split(","))
    return 0


def traffic(
    module: Module, instruction: Instruction, computation: Mapping[str, Instruction]
) -> int:
    """Counts the bytes that an instruction reads from main memory and writes to it.

    Of an array from which only slices are taken, or into which one is written in place, the slices
    count. What is in caches does not.

    Args:
      module: The program.
      instruction: One that is run by itself.
      computation: The one that it belongs to.

    Returns:
      Bytes.
    """
    if instruction.opcode == "async-start" or instruction.opcode in CALLS:
        return 0  # What it calls counts.
    operands = [computation[name].results for name in instruction.operands if name in computation]
    inner: Computation = {}
    if instruction.opcode == "fusion":
        inner = module.computations[instruction.called["calls"][0]]
    read = written = 0
    for position, arrays in enumerate(operands):
        whole = sum(array.bytes for array in arrays if not array.space)
        sliced = _slices(instruction, position, inner) if whole else None
        read += whole if sliced is None else min(whole, sliced)
    updates = [x for x in inner.values() if x.opcode == "dynamic-update-slice"]
    updates += [instruction] if instruction.opcode == "dynamic-update-slice" else []
    within = inner or computation
    for array in instruction.results:
        if array.space:
            continue
        into = [x for x in updates if x.results[0].shape == array.shape]
        written += within[into[0].operands[1]].results[0].bytes if into else array.bytes
    if instruction.opcode in ("copy-start", "send", "recv"):  # Its result names its operand too.
        written = sum(array.bytes for array in instruction.results[:1] if not array.space)
    return read + written


def _slices(instruction: Instruction, position: int, inner: Computation) -> int | None:
    """Bytes that are read of an operand; None where it is more than slices of it."""
    if instruction.opcode in ("dynamic-slice", "slice", "gather"):
        return instruction.results[0].bytes if position == 0 else None
    if instruction.opcode == "dynamic-update-slice":
        return 0 if position == 0 else None
    names = [
        x.name for x in inner.values() if x.opcode == "parameter" and x.literal == str(position)
    ]
    total = 0
    for name in names:
        for user in (x for x in inner.values() if name in x.operands):
            if user.opcode == "bitcast":
                names.append(user.name)
            elif user.opcode in ("dynamic-slice", "slice", "gather") and user.operands[0] == name:
                total += user.results[0].bytes
            elif not (user.opcode == "dynamic-update-slice" and user.operands[0] == name):
                return None
    return total if names else None
