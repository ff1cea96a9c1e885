"""A stack of GRUs in one loop over time, with all that does not depend on the states taken out of it.

What `nn.scan(nn.GRUCell)` computes, layer by layer, with the products with the input before the loop, the
three gates' products with the state in one, and the weights' gradients, sums over time, in one product after
the loop. In a step of the loop each layer is a time step behind the one below, whose last state it takes, so
that all layers make their steps at once.
"""

from collections.abc import Mapping, Sequence
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


class _Stack(NamedTuple):
    """What L layers' loop multiplies with: the cells' [L, ...], and from each layer to the next [L - 1, ...]."""

    hidden: Array
    hidden_bias: Array
    up: Array
    up_bias: Array


class _Step(NamedTuple):
    """What a step keeps for the gradient, [L, *D, B, features] each: states, gates, the states' part of n."""

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


def gru(
    layers: Sequence[GRUWeights], carries: Sequence[Array], x: Array
) -> tuple[tuple[Array, ...], Array]:
    """Runs over a piece of a sequence. Gates as in nn.GRUCell: n = tanh(in(x) + r * hn(h)).

    Args:
      layers: Weights of each layer, of the dtype of the computation; all of the same number of features.
      carries: The states before it, [*D, B, features] for each layer.
      x: [T, *D, B, C].

    Returns:
      The states after it, [*D, B, features] for each layer, and the last layer's after each step,
      [T, *D, B, features].
    """
    first, *others = layers
    gates = x @ first.input + first.bias[None, ..., None, :]
    up = (
        [jnp.stack([w.input for w in others]), jnp.stack([w.bias for w in others])]
        if others
        else []
    )
    stack = _Stack(
        jnp.stack([w.hidden for w in layers]),
        jnp.stack([w.hidden_bias for w in layers]),
        *(up or (first.hidden[:0], first.bias[:0])),
    )
    last, states = _recurrence(gates, stack, jnp.stack(carries))
    return tuple(last), states


def _live(time: int, layers: int) -> Array | None:
    """Whether a layer has a time step in a step of the loop, bool [time + layers - 1, layers]."""
    if layers == 1:
        return None  # It always has.
    at = jnp.arange(time + layers - 1)[:, None] - jnp.arange(layers)[None]
    return (at >= 0) & (at < time)


def _where(live: Array | None, this: Array, other: Array | float) -> Array:
    """Chooses by layer: live [..., L] of [..., L, *D, B, features]."""
    if live is None:
        return this
    return jnp.where(jnp.expand_dims(live, tuple(range(live.ndim, this.ndim))), this, other)


def _step(stack: _Stack, h: Array, from_input: Array) -> _Step:
    x = from_input[None]
    if len(h) > 1:
        x = jnp.concatenate([x, h[:-1] @ stack.up + stack.up_bias[..., None, :]])
    x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
    h_r, h_z, h_n = jnp.split(h @ stack.hidden, 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    h_n += stack.hidden_bias[..., None, :]
    n = jnp.tanh(x_n + r * h_n)
    return _Step((1 - z) * n + z * h, r, z, n, h_n)


def _loop(step: Any, gates: Array, carry: Array) -> Any:
    """Runs steps of (states, gates, live), of which the layers that are not live keep their states."""
    more = len(carry) - 1
    padded = jnp.pad(gates, [(0, more)] + [(0, 0)] * (gates.ndim - 1))
    return jax.lax.scan(step, carry, (padded, _live(gates.shape[0], len(carry))))


@jax.custom_vjp
def _recurrence(gates: Array, stack: _Stack, carry: Array) -> tuple[Array, Array]:
    # gates [T, *D, B, 3 * features] of the first layer -> all layers' last states, the last layer's states.
    def step(h: Array, at: tuple[Array, Array | None]) -> tuple[Array, Array]:
        from_input, live = at
        h = _where(live, _step(stack, h, from_input).state, h)
        return h, h[-1]

    last, states = _loop(step, gates, carry)
    return last, states[len(carry) - 1 :]


def _forward(gates: Array, stack: _Stack, carry: Array) -> tuple[Any, Any]:
    def step(h: Array, at: tuple[Array, Array | None]) -> tuple[Array, _Step]:
        from_input, live = at
        kept = _step(stack, h, from_input)
        h = _where(live, kept.state, h)
        return h, kept._replace(state=h)

    last, steps = _loop(step, gates, carry)
    return (last, steps.state[len(carry) - 1 :, -1]), (stack, carry, steps)


def _backward(kept: Any, cotangents: tuple[Array, Array]) -> tuple[Array, _Stack, Array]:
    stack, carry, (states, r, z, n, hidden_n) = kept
    of_last, of_states = cotangents
    more = len(carry) - 1
    live = _live(of_states.shape[0], len(carry))
    before = jnp.concatenate([carry[None], states[:-1]])
    # Of each gate before its nonlinearity, by the state after it or, r, by n. Who is not live keeps its state.
    slopes = hidden_n * r * (1 - r), (before - n) * z * (1 - z), (1 - z) * (1 - n**2)
    slopes = [_where(live, slope, 0) for slope in slopes]
    z = _where(live, z, 1)
    hidden, up = (jnp.swapaxes(kernel, -1, -2) for kernel in (stack.hidden, stack.up))

    def step(of_h: Array, at: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array, Array]]:
        of_state, slope_r, slope_z, slope_n, r, z = at
        of_h = of_h.at[-1].add(of_state)
        of_n, of_z = of_h * slope_n, of_h * slope_z
        of_r = of_n * slope_r
        of_products = jnp.concatenate([of_r, of_z, of_n * r], axis=-1)
        of_before = of_h * z + of_products @ hidden
        if more:
            of_gates = jnp.concatenate([of_r, of_z, of_n], axis=-1)[1:]
            of_before = of_before.at[:-1].add(of_gates @ up)
        return of_before, (of_r, of_z, of_n)

    of_states = jnp.pad(of_states, [(more, 0)] + [(0, 0)] * (of_states.ndim - 1))
    over_time = of_states, *slopes, r, z
    of_carry, (of_r, of_z, of_n) = jax.lax.scan(step, of_last, over_time, reverse=True)
    of_hidden_n = of_n * r
    of_products = jnp.concatenate([of_r, of_z, of_hidden_n], axis=-1)
    of_gates = jnp.concatenate([of_r, of_z, of_n], axis=-1)
    of_stack = _Stack(
        jnp.einsum("t...bf,t...bg->...fg", before, of_products),
        of_hidden_n.sum(axis=(0, -2)),
        jnp.einsum("t...bf,t...bg->...fg", before[:, :-1], of_gates[:, 1:]) if more else stack.up,
        of_gates[:, 1:].sum(axis=(0, -2)) if more else stack.up_bias,
    )
    return of_gates[: of_gates.shape[0] - more, 0], of_stack, of_carry


_recurrence.defvjp(_forward, _backward)
