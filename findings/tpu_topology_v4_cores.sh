#!/usr/bin/env bash
# jax 0.10.2, libtpu 0.0.42.1: compiled for a v4 that is not there, a program gets half of a chip.
#
# jax.experimental.topologies describes TPUs that are not at hand, to compile for them. Of v5p it gives a device for
# each chip, as JAX does on the machine itself, where two TensorCores act as one. Of v4, which has two of them as
# well, it gives a device for each TensorCore with half of the chip's memory: twice as many devices as the machine
# will have, and a step that fits there is refused here. chip_config_name="megacore" gives the machine's.
#
# Seen:
#   jax 0.10.2
#   v5p:2x2x1: 4 devices, 95.74G
#   v4:2x2x1: 8 devices, 15.25G
#   v4:2x2x1, chip_config_name=megacore: 4 devices, 30.75G
set -euo pipefail
unset PYTHONPATH XLA_FLAGS
export JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 libtpu==0.0.42.1 numpy==2.4.6 scipy==1.17.1 \
  ml_dtypes==0.6.0 opt_einsum==3.4.0 || exit 2
venv/bin/python - 2>log <<'EOF' || { cat log >&2; exit 1; }
import re

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding


def memory(device):
    """What a program may have, as the compiler says where one needs more."""
    placed = SingleDeviceSharding(device)
    # Two maps of 0.2 TB that have to be there at once.
    shape = jax.ShapeDtypeStruct((320 * 2**10, 320 * 2**10), jnp.bfloat16)
    try:
        jax.jit(lambda x: (x @ x, x.T @ x), in_shardings=placed).lower(shape).compile()
    except jax.errors.JaxRuntimeError as error:
        said = str(error)
    (given,) = set(re.findall(r"(?:of|available HBM \()\s?([\d.]+G)", said))
    return given


print("jax", jax.__version__)
seen = []
for name, options in (
    ("v5p:2x2x1", {}),
    ("v4:2x2x1", {}),
    ("v4:2x2x1", {"chip_config_name": "megacore"}),
):
    topology = topologies.get_topology_desc(name, "tpu", **options)
    devices = topology.devices
    found = len(devices), memory(devices[0])
    said = "".join(f", {key}={value}" for key, value in options.items())
    print(f"{name}{said}: {found[0]} devices, {found[1]}")
    seen.append(found)
assert [count for count, _ in seen] == [4, 8, 4]
halves, whole = (float(given.removesuffix("G")) for _, given in seen[1:])
assert 1.9 * halves < whole
EOF
