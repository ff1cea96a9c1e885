"""A GRU's loop over time, with all that does not depend on the state taken out of it.

What `nn.scan(nn.GRUCell)` computes, with the products with the input before the loop, the three gates' products
with the state in one, and the weights' gradients, sums over time, in one product after the loop.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


class GRUWeights(NamedTuple):
    """A cell's weights, of the gates r, z, n side by side; D are further axes, of cells that run side by side.

    Attributes:
      input: Kernel of the products with the input, [*D, C, 3 * features].
      bias: Of these, [*D, 3 * features].
      hidden: Kernel of the products with the state, [*D, features, 3 * features].
      hidden_bias: Of n, which r multiplies, [*D, features].
    """

    input: Array
    bias: Array
    hidden: Array
    hidden_bias: Array


class _Step(NamedTuple):
    """What a step keeps for the gradient, [*D, B, features] each: its state, gates and the state's part of n."""

    state: Array
    r: Array
    z: Array
    n: Array
    hidden_n: Array


def stack_gates(cell: Mapping[str, Any]) -> GRUWeights:
    """Puts the gates of Flax's GRUCell side by side.

    Args:
      cell: Its parameters.

    Returns:
      The weights.
    """

    def stacked(of: str, leaf: str) -> Array:
        return jnp.concatenate([cell[of + gate][leaf] for gate in "rzn"], axis=-1)

    biases = stacked("i", "bias"), cell["hn"]["bias"]
    return GRUWeights(stacked("i", "kernel"), biases[0], stacked("h", "kernel"), biases[1])


def gru(weights: GRUWeights, carry: Array, x: Array) -> tuple[Array, Array]:
    """Runs over a piece of a sequence. Gates as in nn.GRUCell: n = tanh(in(x) + r * hn(h)).

    Args:
      weights: Of the dtype of the computation.
      carry: The states before it, [*D, B, features].
      x: [T, *D, B, C].

    Returns:
      The states after it, [*D, B, features], and after each step, [T, *D, B, features].
    """
    gates = x @ weights.input + weights.bias[None, ..., None, :]
    return _recurrence(gates, weights.hidden, weights.hidden_bias, carry)


def _step(hidden: Array, bias: Array, h: Array, from_input: Array) -> _Step:
    x_r, x_z, x_n = jnp.split(from_input, 3, axis=-1)
    h_r, h_z, h_n = jnp.split(h @ hidden, 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    h_n += bias[..., None, :]
    n = jnp.tanh(x_n + r * h_n)
    return _Step((1 - z) * n + z * h, r, z, n, h_n)


@jax.custom_vjp
def _recurrence(gates: Array, hidden: Array, bias: Array, carry: Array) -> tuple[Array, Array]:
    # gates [T, *D, B, 3 * features] -> the last state, and all of them.
    def step(h: Array, from_input: Array) -> tuple[Array, Array]:
        state = _step(hidden, bias, h, from_input).state
        return state, state

    return jax.lax.scan(step, carry, gates)


def _forward(gates: Array, hidden: Array, bias: Array, carry: Array) -> tuple[Any, Any]:
    def step(h: Array, from_input: Array) -> tuple[Array, _Step]:
        kept = _step(hidden, bias, h, from_input)
        return kept.state, kept

    last, steps = jax.lax.scan(step, carry, gates)
    return (last, steps.state), (hidden, carry, steps)


def _backward(kept: Any, cotangents: tuple[Array, Array]) -> tuple[Array, Array, Array, Array]:
    hidden, carry, (states, r, z, n, hidden_n) = kept
    of_last, of_states = cotangents
    before = jnp.concatenate([carry[None], states[:-1]])
    # Of each gate before its nonlinearity, by the state after it or, r, by n.
    slopes = hidden_n * r * (1 - r), (before - n) * z * (1 - z), (1 - z) * (1 - n**2)
    transposed = jnp.swapaxes(hidden, -1, -2)

    def step(of_h: Array, at: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array, Array]]:
        of_state, slope_r, slope_z, slope_n, r, z = at
        of_h = of_h + of_state
        of_n, of_z = of_h * slope_n, of_h * slope_z
        of_r = of_n * slope_r
        of_products = jnp.concatenate([of_r, of_z, of_n * r], axis=-1)
        return of_h * z + of_products @ transposed, (of_r, of_z, of_n)

    over_time = of_states, *slopes, r, z
    of_carry, (of_r, of_z, of_n) = jax.lax.scan(step, of_last, over_time, reverse=True)
    of_hidden_n = of_n * r
    of_products = jnp.concatenate([of_r, of_z, of_hidden_n], axis=-1)
    of_hidden = jnp.einsum("t...bf,t...bg->...fg", before, of_products)
    of_gates = jnp.concatenate([of_r, of_z, of_n], axis=-1)
    return of_gates, of_hidden, of_hidden_n.sum(axis=(0, -2)), of_carry


_recurrence.defvjp(_forward, _backward)
