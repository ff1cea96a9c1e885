#!/usr/bin/env bash
# Trains on Cloud TPU, one VM or a pod slice, by a queued resource: asks for it, copies this commit
# to every VM, starts the run there and shows the log of the first. Run it again to look on, or to
# go on after a stop (exit code 75). With SPOT=1 it does so itself, and asks for another TPU when
# one was preempted; the run goes on from its checkpoint in $BUCKET.
# Usage: ZONE=us-central2-b TYPE=v4-8 BUCKET=gs://my-bucket [SPOT=1] launch/tpu_vm.sh NAME [flags]
# VERSION: tpu-ubuntu2204-base; v5e v2-alpha-tpuv5-lite, v5p v2-alpha-tpuv5, v6e v2-alpha-tpuv6e.
# A slice has several VMs, which gcloud reaches with a key in ssh-agent.
# Shards first, where there is disk: s2f prepare --config=configs/grid.py --data_dir=DIR
#   gcloud storage cp -r DIR/grid $BUCKET/tensorflow_datasets/
# Results: gcloud storage cp -r $BUCKET/runs/grid runs/
# Stop after a save: end this script, then
#   gcloud compute tpus tpu-vm ssh NAME --zone=$ZONE --worker=all \
#     --command="pkill -f '^.venv/bin/python -m s2f_jax'"
# It costs money until: gcloud compute tpus queued-resources delete NAME --zone=$ZONE --force
# Not yet run on a TPU; hours and cost on GRID: not yet measured.
set -euo pipefail
name=${1:?"give the TPU a name"}
shift
: "${ZONE:?}" "${TYPE:?}" "${BUCKET:?}"
cd "$(dirname "$0")/.."
flags=(--config=configs/grid.py "--data_dir=$BUCKET/tensorflow_datasets"
  "--workdir=$BUCKET/runs/grid" "$@")
run=".venv/bin/python -m s2f_jax.main $(printf '%q ' "${flags[@]}"); echo \$? >exit_code"

queued() { gcloud compute tpus queued-resources "$1" "$name" --zone="$ZONE" "${@:2}"; }
there() { # WORKER (all, or a number) COMMAND
  gcloud compute tpus tpu-vm ssh "$name" --zone="$ZONE" --worker="$1" --command="$2"
}

obtain() {
  local state
  while :; do
    state=$(queued describe --format='value(state.state)' 2>/dev/null || true)
    case $state in
      ACTIVE) return ;;
      "") queued create --node-id="$name" --accelerator-type="$TYPE" \
        --runtime-version="${VERSION:-tpu-ubuntu2204-base}" ${SPOT:+--spot} --async ;;
      SUSPENDED) queued delete --force --quiet ;; # A preempted one never comes back.
      FAILED)
        queued describe
        exit 1
        ;;
    esac
    sleep "${POLL:-30}"
  done
}

start() { # Unless it is running: a run holds its VM's lock.
  there 0 '[ -e s2f_jax/lock ] && ! flock -n s2f_jax/lock true' && return
  local archive
  archive=$(mktemp -d)/s2f_jax.tar.gz
  # The VM's own Python is older than 3.11: uv brings one.
  git archive --format=tar.gz --output="$archive" HEAD &&
    gcloud compute tpus tpu-vm scp "$archive" "$name": --zone="$ZONE" --worker=all &&
    there all "rm -rf s2f_jax && mkdir s2f_jax && tar -xzf s2f_jax.tar.gz -C s2f_jax &&
      cd s2f_jax && pip install --quiet uv && python3 -m uv venv --quiet --python 3.13 .venv &&
      python3 -m uv pip install --quiet --python .venv -r requirements/tpu.txt &&
      python3 -m uv pip install --quiet --python .venv --no-deps ." &&
    there all "cd s2f_jax || exit
      nohup flock -n lock sh -c $(printf '%q' "$run") </dev/null >>log 2>&1 &"
}

while :; do
  obtain
  if start; then
    there 0 'tail -n +1 -F s2f_jax/log & sleep 3; flock s2f_jax/lock true; kill $!' || true
    code=$(there 0 'cat s2f_jax/exit_code 2>/dev/null || echo 75' || echo 75)
  else
    code=$(there 0 'echo 1' || echo 75) # A VM that answers was not preempted.
  fi
  if [ "$code" != 75 ] || [ -z "${SPOT:-}" ]; then
    break
  fi
  sleep "${POLL:-30}"
done
delete="gcloud compute tpus queued-resources delete $name --zone=$ZONE --force"
echo "tpu_vm.sh: exit code $code; the TPU costs money until: $delete" >&2
exit "$code"
