#!/usr/bin/env bash
# A run of several hosts, simulated here: N processes on the CPU that find each other by address.
# Usage: launch/local_cluster.sh N [flags of s2f], e.g. 2 --config=configs/demo.py
# DEVICES (2) virtual devices a process. SIGTERM and SIGINT are passed on to all, as clusters do.
# When one fails, the others have GRACE (30) seconds to end by themselves. The exit code is that of
# the first that failed; 75: stopped by a signal after saving, run it again to go on. Bash 4.4.
set -euo pipefail
if ! [[ ${1:-} =~ ^[1-9][0-9]*$ ]]; then
  echo "local_cluster.sh: '${1:-}' is no number of processes: give e.g. 2, then the flags" >&2
  exit 2
fi
n=$1
shift
trap 'exit 143' TERM # Until there is somebody to pass them on to.
trap 'exit 130' INT
cd "$(dirname "$0")/.."
python=${PYTHON:-$(if [ -x .venv/bin/python ]; then echo .venv/bin/python; else echo python3; fi)}
export JAX_PLATFORMS=cpu
export XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=${DEVICES:-2}"
# Below the range that outgoing connections draw from.
while port=$((RANDOM % 10000 + 20000)) && (: <"/dev/tcp/localhost/$port") 2>/dev/null; do :; done

set -m # A process group each: Ctrl-C comes through here alone, and KILL reaches their workers.
# However this script ends, even by SIGKILL, its end of this pipe closes and nothing stays behind.
exec {started}> >(
  trap '' INT TERM
  mapfile -t groups
  kill -KILL -- "${groups[@]/#/-}" 2>/dev/null
)
reaper=$!
declare -A running=() # pid -> process number
printers=()
for ((i = 0; i < n; i++)); do
  exec {output}> >(
    trap '' INT TERM
    exec {started}>&- sed -u "s/^/$i: /"
  )
  printers+=("$!")
  ( # It names itself, since this script may be told to stop before it could.
    echo "$BASHPID" >&"$started"
    exec "$python" -m s2f_jax.main "$@" "--coordinator=localhost:$port" "--processes=$n" \
      "--process=$i" </dev/null >&"$output" 2>&1 {output}>&- {started}>&-
  ) &
  running[$!]=$i
  exec {output}>&-
done
set +m
for signal in TERM INT; do
  # shellcheck disable=SC2064 # The signal is this turn's.
  trap "kill -$signal -- \"\${!running[@]}\" 2>/dev/null || true" "$signal"
done

failed=0
while ((${#running[@]})); do # `wait -n` would be shorter, but it loses who ends while a trap runs.
  sleep 0.1 || true # A terminal's Ctrl-C ends it.
  for pid in "${!running[@]}"; do
    kill -0 "$pid" 2>/dev/null && continue
    code=0
    wait "$pid" 2>/dev/null || code=$?
    if ((code && !failed)); then
      failed=$code deadline=$((SECONDS + ${GRACE:-30}))
      echo "local_cluster.sh: process ${running[$pid]} ended with exit code $code" >&2
    fi
    unset "running[$pid]"
  done
  if ((failed && SECONDS >= deadline && ${#running[@]})); then
    kill -KILL -- "${!running[@]}" 2>/dev/null || true
  fi
done
exec {started}>&-
wait "$reaper" "${printers[@]}" || true
exit "$failed"
