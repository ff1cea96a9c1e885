#!/usr/bin/env bash
# Trains on every GPU of this machine. Ctrl-C stops it after a save (exit code 75); run it again to
# go on where it stopped.
# Usage: launch/gpu.sh [flags of s2f], e.g. launch/gpu.sh --config=configs/grid.py --data_dir=/data
# Hours on GRID: not yet measured.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d .venv ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet -r requirements/cuda.txt
.venv/bin/python -m pip install --quiet --no-deps -e .
exec .venv/bin/python -m s2f_jax.main "${@:---config=configs/grid.py}"
