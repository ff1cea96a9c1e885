"""Reads XLA's text of a program.

The text is what --xla_dump_to writes (https://openxla.org/xla/hlo_dumps).
"""

import itertools
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_BYTES = {
    "pred": 1,
    "token": 0,
    "opaque": 0,
    "c64": 8,
    "c128": 16,
}  # Others have it in their names.
_LEAF = re.compile(r"([a-z]\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_NAME = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(r"(condition|body|calls|to_apply|branch_computations)=(\{[^}]*\}|%[\w.\-]+)")
_COMPUTATION = re.compile(r"^(ENTRY )?%([\w.\-]+) .*\{$")
_INSTRUCTION = re.compile(r"^ +(?:ROOT )?%([\w.\-]+) = ")

CALLS = {"while", "call", "conditional"}  # Whose computations are run as if they stood here.


class Array(NamedTuple):
    """The shape of an array.

    Attributes:
      dtype: XLA's name of the type of its numbers.
      shape: Its shape.
      space: Memory space; 0: the device's main memory, others are caches, flags and the host.
    """

    dtype: str
    shape: tuple[int, ...]
    space: int

    @property
    def bytes(self) -> int:
        """Bytes of its numbers, without padding."""
        if self.dtype in _BYTES:
            return math.prod(self.shape) * _BYTES[self.dtype]
        bits = re.match(r"[a-z]+(\d+)", self.dtype)
        if not bits:
            raise ValueError(f"{self.dtype}: not a type of XLA's")
        return -(-math.prod(self.shape) * int(bits[1]) // 8)


class Instruction(NamedTuple):
    """One instruction.

    Attributes:
      name: Its name, unique within its module.
      results: The arrays that it makes; several for a tuple, in depth-first order.
      opcode: XLA's name of what it does.
      operands: Names of the instructions whose results it takes.
      literal: What is between its parentheses.
      attributes: What follows them.
      called: Computations that it calls, by the attribute's name.
    """

    name: str
    results: tuple[Array, ...]
    opcode: str
    operands: tuple[str, ...]
    literal: str
    attributes: str
    called: dict[str, tuple[str, ...]]

    @property
    def kind(self) -> str:
        """The opcode without the "-start" of an asynchronous one."""
        return self.opcode.removesuffix("-start")


Computation = dict[str, Instruction]  # By name, in order; the last one is not always the root.


class Module(NamedTuple):
    """A program.

    Attributes:
      computations: Instructions by name, by computation.
      entry: Name of the computation that it begins with.
    """

    computations: dict[str, Computation]
    entry: str


def parse(text: str) -> Module:
    """Reads a module.

    Args:
      text: As XLA writes it.

    Returns:
      The module.

    Raises:
      ValueError: It is not a module's text.
    """
    computations: dict[str, Computation] = {}
    entry, current = "", {}
    for line in text.splitlines():
        if match := _INSTRUCTION.match(line):
            instruction = _parse_instruction(match[1], line[match.end() :])
            current[instruction.name] = instruction
        elif match := _COMPUTATION.match(line):
            current = computations[match[2]] = {}
            entry = match[2] if match[1] else entry
    if not entry:
        raise ValueError("not the text of an XLA module: it has no ENTRY")
    return Module(computations, entry)


def _closing(text: str, start: int) -> int:
    """The index of the parenthesis that closes the one at `start`."""
    depth = 0
    for match in re.finditer(r"[()]", text[start:]):
        depth += 1 if match[0] == "(" else -1
        if not depth:
            return start + match.start()
    raise ValueError(f"a parenthesis is not closed: {text[:60]}")


def _parse_instruction(name: str, text: str) -> Instruction:
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    results = tuple(
        Array(
            dtype,
            tuple(int(size) for size in shape.split(",") if size),
            int(space[1]) if (space := re.search(r"S\((\d+)\)", layout)) else 0,
        )
        for dtype, shape, layout in _LEAF.findall(text[:end])
    )
    opcode, _, _ = text[end:].lstrip().partition("(")
    start = text.index("(", end)
    close = _closing(text, start)
    literal, attributes = text[start + 1 : close], text[close + 1 :]
    called = {key: tuple(_NAME.findall(names)) for key, names in _CALLED.findall(attributes)}
    operands = () if opcode in ("constant", "parameter") else tuple(_NAME.findall(literal))
    return Instruction(name, results, opcode, operands, literal, attributes, called)


class Use(NamedTuple):
    """An instruction that is run by itself, neither within a fusion nor a call.

    Attributes:
      instruction: The instruction.
      computation: The one that it belongs to.
      times: How often it is run in a program.
      looped: Whether it is within a loop.
    """

    instruction: Instruction
    computation: Computation
    times: int
    looped: bool


def uses(module: Module) -> Iterator[Use]:
    """Lists what a program runs, in order; of a conditional's branches, all.

    Args:
      module: The program.

    Yields:
      Each instruction that is not within a fusion, loops among them: before what they contain.
    """

    def of(name: str, times: int, looped: bool) -> Iterator[Use]:
        computation = module.computations[name]
        for instruction in computation.values():
            yield Use(instruction, computation, times, looped)
            if instruction.opcode == "while":  # Its condition is not run where its length is known.
                repeated = times * trip_count(module, instruction)
                yield from of(instruction.called["body"][0], repeated, True)
            elif instruction.opcode in CALLS or instruction.opcode == "async-start":
                for called in itertools.chain(*instruction.called.values()):
                    yield from of(called, times, looped)

    yield from of(module.entry, 1, False)


def trip_count(module: Module, loop: Instruction) -> int:
    """Finds how often a loop is run.

    Args:
      module: The program.
      loop: A `while`.

    Returns:
      What the compiler noted, else the one number that its condition compares with: JAX's loops over
      time count from 0 by 1.

    Raises:
      ValueError: There is no such number, or several.
    """
    if known := re.search(r'known_trip_count"?[=:]\{"n":"(\d+)"', loop.attributes):
        return int(known[1])
    names = list(loop.called["condition"])
    for name in names:
        for instruction in module.computations[name].values():
            names += itertools.chain(*instruction.called.values())
    numbers = {
        int(instruction.literal)
        for name in names
        for instruction in module.computations[name].values()
        if instruction.opcode == "constant" and re.fullmatch(r"\d+", instruction.literal)
    }
    if len(numbers) != 1:
        raise ValueError(f"{loop.name}: a loop of unknown length")
    return numbers.pop()
