"""The accelerators that `plan` knows, and the names under which they are rented."""

import math
import re
from typing import Any, NamedTuple

from data_pipelines.common.errors import UserError

GIB = 2**30
GPU_TARGETS = {"a100": (8, 0, 108), "h100": (9, 0, 132), "h200": (9, 0, 132)}


class Chip(NamedTuple):
    """One accelerator, by its maker's documents.

    Attributes:
      name: As in a target: v5e.
      platform: "tpu" or "cuda".
      products: Largest number of multiply-adds a second, counted as two operations, of bfloat16.
      products_float32: The same of float32 as this project asks for it: a TPU multiplies in bfloat16 and adds
        in float32, an NVIDIA GPU multiplies in TF32.
      memory: Bytes that a program may have.
      bandwidth: Of main memory, bytes a second.
      link: To other chips, bytes a second in one direction, of all links together.
      per_host: Most chips of one host.
      launch: Seconds from one instruction to the next, where each is launched by itself.
      source: Where the figures are from.
    """

    name: str
    platform: str
    products: float
    products_float32: float
    memory: int
    bandwidth: float
    link: float
    per_host: int
    launch: float
    source: str


_TPU = "docs.cloud.google.com/tpu/docs/{}; the memory as libtpu 0.0.42.1 gives it to a program"
_GPU = "NVIDIA's data sheet; the memory less what a process needs for itself"
# Kernels of a GPU take 2 to 4 microseconds to launch; in a loop none is hidden behind another one.
_LAUNCH = 3e-6
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", "tpu", 275e12, 275e12, int(30.75 * GIB), 1.2e12, 300e9, 4, 0, _TPU.format("v4")),
        Chip(
            "v5e", "tpu", 197e12, 197e12, int(15.75 * GIB), 819e9, 200e9, 8, 0, _TPU.format("v5e")
        ),
        Chip(
            "v5p",
            "tpu",
            459e12,
            459e12,
            int(95.74 * GIB),
            2.765e12,
            600e9,
            4,
            0,
            _TPU.format("v5p"),
        ),
        Chip(
            "v6e",
            "tpu",
            918e12,
            918e12,
            int(31.25 * GIB),
            1.638e12,
            400e9,
            8,
            0,
            _TPU.format("v6e"),
        ),
        Chip("a100", "cuda", 312e12, 156e12, 79 * GIB, 2.039e12, 300e9, 8, _LAUNCH, _GPU),
        Chip("h100", "cuda", 989e12, 495e12, 78 * GIB, 3.352e12, 450e9, 8, _LAUNCH, _GPU),
        Chip("h200", "cuda", 989e12, 495e12, 139 * GIB, 4.8e12, 450e9, 8, _LAUNCH, _GPU),
    )
}
# Of clouds' names, the part before the number, its chip, and how many of the number's units a chip has: Cloud
# TPU counts the TensorCores of v4 and v5p, two a chip, and the chips of the others.
_UNITS = {
    "v4": ("v4", 2), "v5e": ("v5e", 1), "v5litepod": ("v5e", 1), "v5p": ("v5p", 2), "v6e": ("v6e", 1),
    "a100": ("a100", 1), "h100": ("h100", 1), "h200": ("h200", 1),
}  # fmt: skip
_MACHINES = {
    r"ct5lp-hightpu-(\d+)t": "v5e", r"ct5p-hightpu-(\d+)t": "v5p", r"ct6e-standard-(\d+)t": "v6e",
    r"ct4p-hightpu-(\d+)t": "v4", r"a2-ultragpu-(\d+)g": "a100", r"a3-(?:high|mega)gpu-(\d+)g": "h100",
    r"a3-ultragpu-(\d+)g": "h200",
}  # fmt: skip
_AWS = {"p4de.24xlarge": ("a100", 8), "p5.48xlarge": ("h100", 8), "p5e.48xlarge": ("h200", 8)}
_PLANES = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"}


class Target(NamedTuple):
    """So many chips, joined.

    Attributes:
      name: As it was asked for.
      chip: The chip.
      chips: Number of chips.
    """

    name: str
    chip: Chip
    chips: int

    @property
    def hosts(self) -> int:
        """Number of hosts that have them."""
        return -(-self.chips // self.chip.per_host)

    def topology(self) -> tuple[str, dict[str, Any]]:
        """Describes them for jax.experimental.topologies.

        Returns:
          The topology's name and the platform's options.
        """
        if self.chip.platform == "cuda":
            each = min(self.chips, self.chip.per_host)
            options = {
                "topology": f"1x{self.hosts}x{each}",
                "target_config": _target_config(self.chip),
            }
            return "", options
        options: dict[str, Any] = {}
        if (
            self.chip.name == "v4"
        ):  # Else its two cores count as devices, each with half of the memory.
            options["chip_config_name"] = "megacore"
        if self.chips == 1:
            options["chips_per_host_bounds"] = (1, 1, 1)
        layout = (
            _PLANES.get(self.chips) if self.chip.name in ("v5e", "v6e") else _cuboid(self.chips)
        )
        return f"{self.chip.name}:{layout}", options


def _cuboid(count: int) -> str:
    """Sides of a slice of a 3D torus: powers of two as equal as can be, the last the longest."""
    exponent = count.bit_length() - 1
    sides = [2 ** (exponent // 3 + (i >= 3 - exponent % 3)) for i in range(3)]
    if count == 4:
        sides = [2, 2, 1]
    return "x".join(map(str, sides))


def parse_target(text: str) -> Target:
    """Reads a target.

    Args:
      text: Chip and number, v5e-8, or a machine's name, a3-highgpu-8g.

    Returns:
      The target.

    Raises:
      UserError: It is no such name, or there is no such number of chips.
    """
    if text in _AWS:
        name, count = _AWS[text]
        return Target(text, CHIPS[name], count)
    for pattern, name in _MACHINES.items():
        if match := re.fullmatch(pattern, text):
            return _checked(text, name, int(match[1]), 1)
    match = re.fullmatch(r"(\w+)-(\d+)", text)
    if not match or match[1] not in _UNITS:
        raise UserError(
            f"--on={text}: must be a chip and a number, such as v5e-8; known are"
            f" {', '.join(_UNITS)} and clouds' names of machines, such as a3-highgpu-8g"
        )
    name, cores = _UNITS[match[1]]
    return _checked(text, name, int(match[2]), cores)


def _checked(text: str, name: str, number: int, cores: int) -> Target:
    chip, count = CHIPS[name], number // cores
    most = 256 if chip.name in ("v5e", "v6e") else 1024
    shaped = count in _PLANES if chip.name in ("v5e", "v6e") else math.log2(max(count, 1)) % 1 == 0
    if chip.platform == "cuda":
        shaped = 0 < count <= chip.per_host or count % chip.per_host == 0
    if (
        not count
        or number % cores
        or not shaped
        or count == 2
        and chip.platform == "tpu"
        or count > most
    ):
        units = " TensorCores, two a chip" if cores > 1 else " chips"
        raise UserError(f"--on={text}: there is no slice of {number}{units}")
    return Target(text, chip, count)


def _target_config(chip: Chip) -> str:
    """XLA's description of a GPU of compute capability 8 or 9."""
    major, minor, cores = GPU_TARGETS[chip.name]
    shared = 163840 if major == 8 else 233472
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {shared}
  shared_memory_per_block_optin: {shared - 1024}
  threads_per_core_limit: 2048
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  core_count: {cores}
  fpus_per_core: {64 if major == 8 else 128}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {int(chip.bandwidth)}
  l2_cache_size: {(40 if major == 8 else 50) * 2**20}
  clock_rate_ghz: {1.41 if major == 8 else 1.98}
  device_memory_size: {chip.memory}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 12 }}
runtime_version {{ major: 13 }}
device_description_str: "NVIDIA {chip.name.upper()}"
"""
