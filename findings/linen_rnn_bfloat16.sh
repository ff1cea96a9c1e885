#!/usr/bin/env bash
# flax 0.12.8: a recurrent layer of linen with dtype=bfloat16 gives float32.
#
# `nn.Dense(4, dtype=jnp.bfloat16)` gives bfloat16. A cell with the same field computes in bfloat16,
# but the first carry is made in `param_dtype`, float32; the sum of the two is float32 again, so `nn.RNN`
# carries and returns float32, and whatever follows runs in it. A carry that is given as
# `initial_carry`, or made in bfloat16, cures it.
#
# Seen with jax 0.10.2 (inputs bfloat16):
#   Dense bfloat16
#   RNN(GRUCell) float32
#   RNN(OptimizedLSTMCell) float32
#   RNN(GRUCell), bfloat16 carry bfloat16
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet flax==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 || exit 2
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
import flax.linen as nn
import jax
import jax.numpy as jnp

x = jnp.ones((2, 5, 3), jnp.bfloat16)


def dtype_of(layer, **options):
    dtype = layer.init_with_output(jax.random.key(0), x, **options)[0].dtype.name
    return dtype


half = {"dtype": jnp.bfloat16}
carry = jnp.zeros((2, 4), jnp.bfloat16)
found = {
    "Dense": dtype_of(nn.Dense(4, **half)),
    "RNN(GRUCell)": dtype_of(nn.RNN(nn.GRUCell(4, **half))),
    "RNN(OptimizedLSTMCell)": dtype_of(nn.RNN(nn.OptimizedLSTMCell(4, **half))),
    "RNN(GRUCell), bfloat16 carry": dtype_of(nn.RNN(nn.GRUCell(4, **half)), initial_carry=carry),
}
for name, dtype in found.items():
    print(name, dtype)
assert list(found.values()) == ["bfloat16", "float32", "float32", "bfloat16"]
EOF
