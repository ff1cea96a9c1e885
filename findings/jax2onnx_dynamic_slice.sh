#!/usr/bin/env bash
# jax2onnx 0.17.1: a slice that reaches beyond the end has another shape in ONNX than in JAX.
#
# `lax.dynamic_slice` moves the start back until the slice fits, so its result always has the size
# asked for; models rely on that for the last window of a signal. The exported graph cuts the slice
# off at the end instead. The export says nothing, and the graph runs.
#
# Seen (jax 0.10.2, onnxruntime 1.32.0; 4 numbers from the place 4 of 0 ... 5):
#   JAX: [2. 3. 4. 5.]
#   ONNX: [4. 5.]
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet jax2onnx==0.17.1 jax==0.10.2 jaxlib==0.10.2 flax==0.12.8 \
  onnx==1.23.2 onnxruntime==1.32.0 || exit 2
JAX_PLATFORMS=cpu venv/bin/python - 2>log <<'EOF'
import numpy as np
import onnxruntime
from jax import lax
from jax2onnx import to_onnx


def last_window(x):
    return lax.dynamic_slice(x, (4,), (4,))


x = np.arange(6, dtype=np.float32)
model = to_onnx(last_window, [x.shape])
session = onnxruntime.InferenceSession(model.SerializeToString())
(graph,) = session.run(None, {session.get_inputs()[0].name: x})
print("JAX:", np.asarray(last_window(x)))
print("ONNX:", graph)
assert list(last_window(x)) == [2, 3, 4, 5] and list(graph) == [4, 5]
EOF
