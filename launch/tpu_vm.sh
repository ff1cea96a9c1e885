#!/usr/bin/env bash
# Trains on one Cloud TPU VM: creates it, copies this commit, starts the run in the background there.
# Run it again to go on where it stopped. The shards must be in $BUCKET/tensorflow_datasets:
#   s2f prepare --config=configs/grid.py --data_dir=DIR && gsutil -m cp -r DIR/grid $BUCKET/tensorflow_datasets/
# Usage: ZONE=us-central2-b TYPE=v4-8 BUCKET=gs://my-bucket launch/tpu_vm.sh NAME [flags of s2f]
# Not yet run on a TPU; hours and cost on GRID: not yet measured.
set -euo pipefail
name=${1:?"give the TPU VM a name"}
shift
: "${ZONE:?}" "${TYPE:?}" "${BUCKET:?}"
there() { gcloud compute tpus tpu-vm ssh "$name" --zone="$ZONE" --command="$1"; }
gcloud compute tpus tpu-vm describe "$name" --zone="$ZONE" >/dev/null 2>&1 ||
  gcloud compute tpus tpu-vm create "$name" --zone="$ZONE" --accelerator-type="$TYPE" \
    --version="${VERSION:-tpu-ubuntu2204-base}"
archive=$(mktemp -d)/s2f_jax.tar.gz
git archive --format=tar.gz --output="$archive" HEAD
gcloud compute tpus tpu-vm scp "$archive" "$name": --zone="$ZONE"
# The VM's own Python is older than 3.11: uv brings one.
there "mkdir -p s2f_jax && tar -xzf s2f_jax.tar.gz -C s2f_jax && cd s2f_jax &&
  pip install --quiet uv && python3 -m uv venv --quiet --python 3.12 .venv &&
  python3 -m uv pip install --quiet --python .venv '.[tpu]' gcsfs"
flags=(--config=configs/grid.py "--data_dir=$BUCKET/tensorflow_datasets"
  "--workdir=$BUCKET/runs/grid" "$@")
there "cd s2f_jax && nohup .venv/bin/python -m s2f_jax.main $(printf '%q ' "${flags[@]}") >train.log 2>&1 &"
there "tail -F s2f_jax/train.log"
