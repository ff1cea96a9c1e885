#!/usr/bin/env bash
# orbax-checkpoint 0.12.8: weights restore into a target of whole numbers or of bool without a word.
#
# `StandardCheckpointer.restore` refuses a target of another shape, and converts to a target of
# another dtype, whatever is lost on the way: 0.25 becomes 0, or True.
#
# Seen (saved: float32 [0, 0.25, 0.5, 0.75, 1, 1.25]):
#   float32 [4]: ValueError
#   int32 [6]: [0 0 0 0 1 1]
#   bool [6]: [False  True  True  True  True  True]
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 || exit 2
JAX_PLATFORMS=cpu venv/bin/python - 2>/dev/null <<'EOF'
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

folder = pathlib.Path("saved").resolve()
checkpointer = ocp.StandardCheckpointer()
checkpointer.save(folder, {"weights": jnp.arange(6, dtype=jnp.float32) / 4})
checkpointer.wait_until_finished()


def restored(shape, dtype):
    target = {"weights": jax.ShapeDtypeStruct(shape, dtype)}
    try:
        values = np.asarray(checkpointer.restore(folder, target)["weights"])
    except ValueError as error:
        values = type(error).__name__
    print(f"{dtype.__name__} {list(shape)}: {values}")
    return values


assert isinstance(restored((4,), jnp.float32), str)
assert list(restored((6,), jnp.int32)) == [0, 0, 0, 0, 1, 1]
assert list(restored((6,), jnp.bool_)) == [False] + 5 * [True]
EOF
