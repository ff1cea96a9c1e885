#!/usr/bin/env bash
# Trains on one Cloud TPU VM: creates it, copies this checkout, runs, and can be run again.
# Usage: ZONE=us-central2-b TYPE=v4-8 BUCKET=gs://my-bucket launch/tpu_vm.sh NAME [flags of s2f]
# Hours and cost on GRID: not yet measured.
set -euo pipefail
name=${1:?"give the TPU VM a name"}
shift
: "${ZONE:?}" "${TYPE:?}" "${BUCKET:?}"
version=${VERSION:-tpu-ubuntu2204-base}
ssh=(gcloud compute tpus tpu-vm ssh "$name" --zone="$ZONE" --command)
gcloud compute tpus tpu-vm describe "$name" --zone="$ZONE" >/dev/null 2>&1 ||
  gcloud compute tpus tpu-vm create "$name" --zone="$ZONE" --accelerator-type="$TYPE" --version="$version"
archive=$(mktemp -d)/s2f_jax.tar.gz
git archive --format=tar.gz --output="$archive" HEAD
gcloud compute tpus tpu-vm scp "$archive" "$name": --zone="$ZONE"
"${ssh[@]}" "mkdir -p s2f_jax && tar -xzf s2f_jax.tar.gz -C s2f_jax && cd s2f_jax &&
  python3 -m venv .venv && .venv/bin/pip install --quiet '.[tpu]' gcsfs"
"${ssh[@]}" "cd s2f_jax && .venv/bin/python -m s2f_jax.main --config=configs/grid.py \
  --data_dir=$BUCKET/tensorflow_datasets --workdir=$BUCKET/runs/grid $*"
