"""Names of chips, and what they stand for."""

import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.planning.chips import CHIPS, parse_target


@pytest.mark.parametrize(
    ("name", "chip", "chips", "hosts"),
    [
        ("v5e-8", "v5e", 8, 1),
        ("v5litepod-256", "v5e", 256, 32),
        ("v6e-1", "v6e", 1, 1),
        ("v5p-16", "v5p", 8, 2),  # TensorCores, two a chip.
        ("v4-8", "v4", 4, 1),
        ("h100-16", "h100", 16, 2),
        ("ct5lp-hightpu-4t", "v5e", 4, 1),
        ("ct5p-hightpu-4t", "v5p", 4, 1),  # A machine's name counts chips.
        ("a3-highgpu-8g", "h100", 8, 1),
        ("p5.48xlarge", "h100", 8, 1),
    ],
)
def test_names_that_clouds_have(name, chip, chips, hosts):
    target = parse_target(name)
    assert (target.chip, target.chips, target.hosts) == (CHIPS[chip], chips, hosts)


@pytest.mark.parametrize(
    ("name", "topology"),
    [
        ("v5e-4", "v5e:2x2"),
        ("v5e-32", "v5e:4x8"),
        ("v6e-256", "v6e:16x16"),
        ("v5p-8", "v5p:2x2x1"),
        ("v5p-16", "v5p:2x2x2"),
        ("v5p-32", "v5p:2x2x4"),
        ("v5p-64", "v5p:2x4x4"),
        ("v4-128", "v4:4x4x4"),
    ],
)
def test_slices_have_the_shapes_that_there_are(name, topology):
    assert parse_target(name).topology()[0] == topology


def test_a_v4s_two_cores_are_one_device():
    assert parse_target("v4-8").topology()[1] == {"chip_config_name": "megacore"}


def test_a_gpu_is_described_by_itself():
    _, options = parse_target("h100-16").topology()
    assert options["topology"] == "1x2x8"
    assert "core_count: 132" in options["target_config"]
    assert f"device_memory_size: {CHIPS['h100'].memory}" in options["target_config"]


@pytest.mark.parametrize("name", ["", "v5e", "v5e-", "v5e-x", "tpu-8", "v5e-8-8", "h100-8g", "-8"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(UserError, match=r"^--on=.*: must be a chip and a number, such as v5e-8"):
        parse_target(name)


@pytest.mark.parametrize(
    "name", ["v5e-0", "v5e-2", "v5e-3", "v5e-512", "v5p-7", "v5p-4", "h100-12"]
)
def test_a_slice_that_there_is_not_is_refused(name):
    with pytest.raises(UserError, match=f"^--on={name}: there is no slice of "):
        parse_target(name)
