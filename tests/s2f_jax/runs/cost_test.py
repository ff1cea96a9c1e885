"""Costs: what XLA counts against arithmetic by hand."""

import jax
import numpy as np
from jax.sharding import PartitionSpec

from s2f_jax import sharding
from s2f_jax.runs import cost


def matrix(*shape):
    return jax.ShapeDtypeStruct(shape, np.float32)


def test_a_product_costs_2mnk_and_holds_its_matrices():
    product = jax.jit(lambda a, b: a @ b).trace(matrix(64, 128), matrix(128, 32))
    counted = cost.measure(product, devices=1)
    assert counted.flops == 2 * 64 * 128 * 32
    assert counted.arguments == 4 * (64 * 128 + 128 * 32)
    assert counted.outputs == 4 * 64 * 32
    assert counted.bytes_accessed == counted.arguments + counted.outputs
    assert counted.memory == counted.bytes_accessed + counted.temporaries


def test_a_split_product_costs_the_same_in_all_and_a_share_of_the_memory():
    mesh = sharding.mesh()
    devices = mesh.size
    split = jax.NamedSharding(mesh, PartitionSpec("data"))
    function = jax.jit(lambda a, b: a @ b, in_shardings=(split, sharding.replicated(mesh)))
    counted = cost.measure(function.trace(matrix(64, 128), matrix(128, 32)), devices)
    assert devices == 4
    assert counted.flops == 2 * 64 * 128 * 32
    assert counted.arguments == 4 * (64 * 128 // 4 + 128 * 32)


def test_a_donated_argument_is_counted_once():
    add = jax.jit(lambda a: a + 1, donate_argnums=0).trace(matrix(1000))
    assert cost.measure(add, devices=1).memory == 4000


def test_parameters_are_counted_by_network():
    tree = {"generator": {"a": matrix(3, 4), "b": {"c": matrix(5)}}, "other": [matrix()]}
    assert cost.parameters(tree) == {"generator": 17, "other": 1}


def test_figures_have_a_prefix():
    shown = [cost.si(value) for value in (0, 0.25, 12, 1500, 2.5e6, 1.2345e9, 1.9e12, 3e15)]
    assert shown == ["0", "0.25", "12", "1.5 k", "2.5 M", "1.234 G", "1.9 T", "3 P"]
