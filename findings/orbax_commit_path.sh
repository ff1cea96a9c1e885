#!/usr/bin/env bash
# orbax-checkpoint 0.12.8: each item of a checkpoint holds the absolute path where it was written, and nothing reads
# it there.
#
# Beside the arrays, which know nothing of where they are, `commit_success.txt` says "Checkpoint commit was
# successful to" and the folder's whole path: who publishes a checkpoint tells user names and the names of projects
# and buckets. On a local disk it is restored as well without those files.
#
# Seen:
#   files that name the folder: ['0/commit_success.txt', '0/metrics/commit_success.txt', '0/state/commit_success.txt']
#   restored without them: [0. 1. 2. 3.]
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 orbax-checkpoint==0.12.8 numpy==2.4.6 || exit 2
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
import pathlib
import shutil

import jax.numpy as jnp
import orbax.checkpoint as ocp

made = pathlib.Path("made/somebody/project").resolve()
with ocp.CheckpointManager(made) as manager:
    items = ocp.args.Composite(
        state=ocp.args.StandardSave({"weights": jnp.arange(4.0)}),
        metrics=ocp.args.JsonSave({"psnr": 30.0}),
    )
    manager.save(0, args=items)
    manager.wait_until_finished()
telling = [p for p in sorted(made.rglob("*")) if p.is_file() and str(made).encode() in p.read_bytes()]
names = [str(path.relative_to(made)) for path in telling]
print(f"files that name the folder: {names}")
for path in telling:
    path.unlink()
moved = pathlib.Path("published").resolve()
shutil.move(made, moved)
with ocp.CheckpointManager(moved) as manager:
    restored = manager.restore(0, args=ocp.args.Composite(state=ocp.args.StandardRestore()))
print(f"restored without them: {restored.state['weights']}")
assert names == [f"0/{part}commit_success.txt" for part in ("", "metrics/", "state/")]
assert restored.state["weights"].tolist() == [0, 1, 2, 3]
EOF
