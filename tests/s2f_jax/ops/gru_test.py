"""The short loop computes what nn.scan(nn.GRUCell) does, gradients and all."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax.ops import gru

CELL = nn.scan(
    nn.GRUCell,
    variable_broadcast="params",
    split_rngs={"params": False},
    in_axes=1,
    out_axes=1,
)


def drawn(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def loss(out):
    """That the last state and each of them have a gradient of their own."""
    last, states = out
    return (drawn(*last.shape) * last).sum() + (drawn(*states.shape) * states**2).sum()


def cell_of(features, batch=2, time=7, channels=3):
    cell = CELL(features, dtype=jnp.float64, param_dtype=jnp.float64)
    x, carry = drawn(batch, time, channels), 0.5 * drawn(batch, features)
    params = cell.init(jax.random.key(0), carry, x)["params"]
    # All biases, which are zeros at first.
    return cell, jax.tree.map(lambda p: p + 0.1 * drawn(*p.shape), params), carry, x


def short(params, carry, x):
    (last,), states = gru.gru([gru.stack_gates(params)], [carry], x.swapaxes(0, 1))
    return last, states.swapaxes(0, 1)


def assert_equal(got, wanted, atol=1e-12):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), got, wanted)


def assert_same(function, plain, *args):
    """Of the values, and of the gradients of all arguments."""
    assert_equal(function(*args), plain(*args))
    every = tuple(range(len(args)))
    got, wanted = (jax.grad(lambda *a, f=f: loss(f(*a)), every)(*args) for f in (function, plain))
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(wanted))
    assert scale > 1
    assert_equal(got, wanted, 1e-12 * scale)


@pytest.mark.parametrize("time", [1, 7])
def test_states_and_gradients_are_those_of_the_scanned_cell(time):
    with jax.enable_x64(True):
        cell, *args = cell_of(5, time=time)

        def plain(params, carry, x):
            return cell.apply({"params": params}, carry, x)

        assert_same(short, plain, *args)


@pytest.mark.parametrize(("layers", "time"), [(2, 1), (2, 7), (3, 2), (3, 7)])
def test_layers_that_make_their_steps_at_once_are_the_layers_one_after_the_other(layers, time):
    with jax.enable_x64(True):
        cells = [cell_of(5, time=time, channels=5 if i else 3)[1:] for i in range(layers)]
        params = [
            jax.tree.map(lambda p, i=i: p + 0.2 * i * drawn(*p.shape, i + 1)[..., 0], params)
            for i, (params, _, _) in enumerate(cells)
        ]
        carries = jnp.stack([(i + 1) * carry for i, (_, carry, _) in enumerate(cells)])

        def at_once(params, carries, x):
            stack = [gru.stack_gates(cell) for cell in params]
            last, states = gru.gru(stack, list(carries), x.swapaxes(0, 1))
            return jnp.stack(last), states.swapaxes(0, 1)

        def one_after_the_other(params, carries, x):
            last = []
            for cell, carry in zip(params, carries, strict=True):
                scanned = CELL(5, dtype=jnp.float64, param_dtype=jnp.float64)
                final, x = scanned.apply({"params": cell}, carry, x)
                last.append(final)
            return jnp.stack(last), x

        assert_same(at_once, one_after_the_other, params, carries, cells[0][2])


def test_cells_side_by_side_are_the_cells_one_by_one():
    with jax.enable_x64(True):
        cells = [cell_of(5)[1:] for _ in range(2)]
        cells[1] = jax.tree.map(lambda a: a + 0.3 * drawn(*a.shape), cells[1])

        def both(cells):
            weights = [gru.stack_gates(params) for params, _, _ in cells]
            weights, (carry, x) = (
                jax.tree.map(lambda *each: jnp.stack(each), *parts)
                for parts in (weights, [cell[1:] for cell in cells])
            )
            (last,), states = gru.gru([weights], [carry], x.transpose(2, 0, 1, 3))
            return sum(loss((last[i], states[:, i].swapaxes(0, 1))) for i in range(2))

        def one_by_one(cells):
            return sum(loss(short(*cell)) for cell in cells)

        (a, of_a), (b, of_b) = (jax.value_and_grad(f)(cells) for f in (both, one_by_one))
        np.testing.assert_allclose(a, b, rtol=1e-12)
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-11), of_a, of_b
        )


def test_the_loop_back_has_no_sum_of_weights_in_it():
    """One product in either direction, of [B, features] or of [B, 3 * features]."""
    with jax.enable_x64(True):
        _, *args = cell_of(5)
        of = jax.make_jaxpr(jax.grad(lambda *a: loss(short(*a)), argnums=(0, 1, 2)))(*args)
    loops = [eqn for eqn in of.eqns if eqn.primitive.name == "scan"]
    counts = [str(loop.params["jaxpr"]).count("dot_general[") for loop in loops]
    assert counts == [1, 1]
