#!/usr/bin/env bash
# jax 0.10.2 on a CPU: a convolution over a dilated input can be tens of times slower than the same
# convolution over the same zeros written out.
#
# `lhs_dilation=2` means zeros between the input's elements. With few pixels and many channels XLA's
# CPU compiler takes a slow path for it, which a transposed convolution meets going forward and a
# strided convolution meets in the gradient by its input: the gradient takes 65 to 140 times as
# long as the forward pass, for the same number of multiplications. Writing the zeros into an array first
# gives the same numbers. Sizes are those of a decoder's first layers: 4x3 pixels, 1024 channels.
#
# Seen with jaxlib 0.10.2, two AMD EPYC cores that other programs used too:
#   8 maps of 4x3x1024, 4x4 kernel: dilated 6.249 s, zeros written out 0.067 s
#   8 maps of 8x6x512, 4x4 kernel, stride 2: gradient by the input 6.328 s, forward 0.096 s
# The factors are what counts; this fails when either falls below 5.
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 || exit 2
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
import time

import jax
import jax.numpy as jnp
from jax import lax


def seconds(function, *arguments):
    function(*arguments).block_until_ready()  # Compiles.
    times = []
    for _ in range(2):
        start = time.perf_counter()
        function(*arguments).block_until_ready()
        times.append(time.perf_counter() - start)
    return min(times)


LAYOUT = ("NHWC", "HWIO", "NHWC")


@jax.jit
def dilated(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=LAYOUT
    )


@jax.jit
def written_out(x, kernel):
    zeros = jnp.zeros((8, 7, 5, 1024)).at[:, ::2, ::2].set(x)
    return lax.conv_general_dilated(
        zeros, kernel, (1, 1), ((2, 2), (2, 2)), dimension_numbers=LAYOUT
    )


x = jax.random.normal(jax.random.key(0), (8, 4, 3, 1024))
kernel = jax.random.normal(jax.random.key(1), (4, 4, 1024, 512))
difference = jnp.abs(dilated(x, kernel) - written_out(x, kernel)).max()
slow, fast = seconds(dilated, x, kernel), seconds(written_out, x, kernel)
print(f"dilated {slow:.3f} s, zeros written out {fast:.3f} s, difference {difference:.1e}")


@jax.jit
def strided(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=LAYOUT
    )


x = jnp.ones((8, 8, 6, 512))
kernel = jnp.ones((4, 4, 512, 1024))
gradient = jax.jit(jax.grad(lambda x, kernel: strided(x, kernel).sum()))
backward, forward = seconds(gradient, x, kernel), seconds(strided, x, kernel)
print(f"gradient by the input {backward:.3f} s, forward {forward:.3f} s")
assert difference < 1e-2 and slow > 5 * fast and backward > 5 * forward
EOF
