#!/usr/bin/env bash
# jax 0.10.2, XLA for CUDA 13: a transposed convolution multiplies the zeros between the pixels, unless
# transpose_kernel=True.
#
# lax.conv_transpose, and Flax's nn.ConvTranspose as it is by default, gives XLA a convolution of maps with zeros
# in between. Of one whose kernel is turned by 180 degrees XLA makes cuDNN's gradient by the input, which skips
# the zeros; of any other it writes the zeros out and calls an ordinary convolution: with stride 2 four times as
# many products, and a copy of the maps four times as large. With transpose_kernel=True, which turns the kernel,
# and a kernel that was turned before (and its last axes swapped), the same numbers come the fast way.
#
# No GPU is needed: the compiler is asked for an H100's program, and that is read, not run.
#
# Seen (float32 maps [64, 32, 32, 64], kernel [4, 4, 64, 32], stride 2):
#   jax 0.10.2
#   transpose_kernel=False: __cudnn$convForward, window={size=4x4}, 74 MB of temporaries
#   transpose_kernel=True: __cudnn$convBackwardInput, window={size=4x4 stride=2x2 pad=1_1x1_1}, 0 MB
#   largest difference of the two on a CPU: 0.0
set -euo pipefail
unset PYTHONPATH XLA_FLAGS
export JAX_PLATFORMS=cpu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 jax-cuda13-plugin==0.10.2 \
  jax-cuda13-pjrt==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0 || exit 2
venv/bin/python - 2>log <<'EOF' || { cat log >&2; exit 1; }
import re

import jax
import numpy as np
from jax import lax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352000000000 l2_cache_size: 52428800 device_memory_size: 85017493504
  cuda_compute_capability { major: 9 minor: 0 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 12 }
runtime_version { major: 13 }
device_description_str: "NVIDIA H100"
"""
LAYOUT = ("NHWC", "HWIO", "NHWC")


def as_it_is(x, kernel):
    return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=LAYOUT)


def turned(x, kernel):
    kernel = kernel[::-1, ::-1].swapaxes(2, 3)
    return lax.conv_transpose(
        x, kernel, (2, 2), "SAME", dimension_numbers=LAYOUT, transpose_kernel=True
    )


print("jax", jax.__version__)
topology = topologies.get_topology_desc(platform="cuda", topology="1x1x1", target_config=H100)
device = SingleDeviceSharding(topology.devices[0])
shapes = (64, 32, 32, 64), (4, 4, 64, 32)
seen = []
for function in (as_it_is, turned):
    described = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    program = jax.jit(function, in_shardings=device, out_shardings=device)
    compiled = program.lower(*described).compile()
    text, memory = compiled.as_text(), compiled.memory_analysis()
    (call,) = re.findall(r'"(__cudnn\$\w+)"', text)
    (window,) = re.findall(r"window=\{[^}]*\}", text)
    megabytes = round(memory.temp_size_in_bytes / 1e6)
    print(f"transpose_kernel={function is turned}: {call}, {window}, {megabytes} MB of temporaries")
    seen.append((call, megabytes))
drawn = [np.random.default_rng(0).normal(size=shape).astype("float32") for shape in shapes]
difference = abs(np.asarray(as_it_is(*drawn)) - np.asarray(turned(*drawn))).max()
print("largest difference of the two on a CPU:", difference)
maps = np.prod(shapes[0]) * 4 / 1e6
assert seen[0][0] == "__cudnn$convForward" and seen[0][1] > 4 * maps
assert seen[1][0] == "__cudnn$convBackwardInput" and seen[1][1] < maps
assert difference < 1e-4
EOF
