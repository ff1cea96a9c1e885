#!/usr/bin/env bash
# orbax-checkpoint 0.12.8: a step whose score is NaN counts as the best, and a better one is deleted.
#
# `CheckpointManager(max_to_keep=N, best_fn=...)` sorts the steps by their score. NaN compares with
# nothing, so where a NaN stands depends on when it came: a run that diverges once says that its best
# step is that one, and of two steps kept, the good one goes.
#
# Seen, best_mode="max", max_to_keep=2:
#   saved step 0, score 20.0: best step 0, kept [0]
#   saved step 1, score nan: best step 1, kept [0, 1]
#   saved step 2, score 25.0: best step 2, kept [1, 2]
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 || exit 2
JAX_PLATFORMS=cpu venv/bin/python - 2>/dev/null <<'EOF'
import pathlib

import numpy as np
import orbax.checkpoint as ocp

options = ocp.CheckpointManagerOptions(
    max_to_keep=2, best_fn=lambda metrics: metrics["psnr"], best_mode="max"
)
with ocp.CheckpointManager(pathlib.Path("run").resolve(), options=options) as manager:
    seen = []
    for step, score in enumerate([20.0, float("nan"), 25.0]):
        state = ocp.args.StandardSave({"weights": np.ones(3)})
        manager.save(step, args=state, metrics={"psnr": score})
        manager.wait_until_finished()
        seen.append((manager.best_step(), list(manager.all_steps())))
        print(f"saved step {step}, score {score}: best step {seen[-1][0]}, kept {seen[-1][1]}")
assert seen == [(0, [0]), (1, [0, 1]), (2, [1, 2])]
EOF
