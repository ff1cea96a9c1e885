#!/usr/bin/env bash
# jax 0.12.0.1: what it exports, an older jax reads for fixed sizes and not for symbolic ones.
#
# Both files say the same calling convention, and jax 0.10.2 reads that. A symbolic size puts
# assertions on shapes into the program, which StableHLO 1.18 writes as a newer form of custom call,
# one that StableHLO 1.17 inside jax 0.10.2 does not know. So a model tried with fixed sizes and
# then exported for any batch size stops working for those who stayed behind.
#
# Seen (Python 3.12, which jax 0.12 needs; set PYTHON to another one of at least that version):
#   written by 0.12.0.1: fixed, convention 10
#   written by 0.12.0.1: symbolic, convention 10
#   read by 0.10.2: fixed, (6, 2)
#   read by 0.10.2: symbolic, JaxRuntimeError: ... Failed to deserialize StableHLO
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3.12}" -m venv new
"${PYTHON:-python3.12}" -m venv old
new/bin/pip install --quiet jax==0.12.0.1 jaxlib==0.12.0.1 flatbuffers==25.12.19 || exit 2
old/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 flatbuffers==25.12.19 || exit 2
export JAX_PLATFORMS=cpu
new/bin/python - <<'EOF'
import pathlib

import jax
import jax.numpy as jnp
from jax import export

function = jax.jit(lambda x: jnp.sin(x).reshape(x.shape[0] * 2, -1))
(batch,) = export.symbolic_shape("batch")
for name, shape in {"fixed": (3, 4), "symbolic": (batch, 4)}.items():
    exported = export.export(function)(jax.ShapeDtypeStruct(shape, jnp.float32))
    pathlib.Path(name).write_bytes(exported.serialize())
    print(f"written by {jax.__version__}: {name}, convention {exported.calling_convention_version}")
EOF
old/bin/python - 2>log <<'EOF'
import pathlib

import jax
import numpy as np
from jax import export

outcomes = []
for name in ("fixed", "symbolic"):
    try:
        exported = export.deserialize(bytearray(pathlib.Path(name).read_bytes()))
        outcomes.append(str(exported.call(np.ones((3, 4), np.float32)).shape))
    except Exception as error:
        outcomes.append(f"{type(error).__name__}: {error}")
    print(f"read by {jax.__version__}: {name}, {outcomes[-1]}")
assert outcomes[0] == "(6, 2)" and "Failed to deserialize StableHLO" in outcomes[1]
EOF
