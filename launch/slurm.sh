#!/usr/bin/env bash
# Trains on the GPUs of a Slurm cluster; when its time is up it saves and goes back into the queue.
# Set up once, where the cluster has a network: python3 -m venv .venv &&
#   .venv/bin/pip install -r requirements/cuda.txt && .venv/bin/pip install --no-deps -e .
# Usage, from the repository's top: sbatch [--nodes=2 --account=A ...] launch/slurm.sh [flags]
# Stop after a save: scancel --signal=TERM JOB (a plain scancel leaves Slurm's KillWait for it).
# Go on: the same command. Not yet run on a cluster; hours on GRID: not yet measured.
#SBATCH --job-name=s2f
#SBATCH --nodes=1
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out
# A task is a process with one GPU: jax gives task i of a node its GPU i, so each must see them all,
# and --gpus-per-task does not fit.
set -euo pipefail
# A task that has saved must not end those that are still saving.
srun --kill-on-bad-exit=0 .venv/bin/python -m s2f_jax.main "${@:---config=configs/grid.py}" &
time_up=
# To the tasks, not through srun, which makes a KILL of a TERM.
trap 'time_up=1; scancel --signal=TERM "$SLURM_JOB_ID" || true' USR1
code=0
wait $! || code=$?
if [ -n "$time_up" ]; then # The trap ended the wait, not the run.
  code=0
  wait $! || code=$?
fi
if [ -n "$time_up" ] && [ "$code" = 75 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
