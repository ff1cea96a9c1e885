#!/usr/bin/env bash
# How much speech a face needs: configs/person.py on fewer minutes of a take, each with the same steps, val and test.
#
#   s2f prepare --config=person --manual_dir=take.mp4
#   launch/person_curve.sh 1 2 5 10 20 [-- FLAGS, such as --config.data.dir=DIR]
#   python docs/figures/person_curve.py runs/person_*      # draws it
#
# Some 40 minutes of one core a point. Stopped, it goes on by the same command. S2F is the program (s2f).
set -euo pipefail
minutes=()
while [[ $# -gt 0 && $1 != -- ]]; do
  minutes+=("$1")
  shift
done
[[ ${#minutes[@]} -gt 0 ]] || { echo "give the minutes: $0 1 2 5 10" >&2; exit 2; }
shift || true
for count in "${minutes[@]}"; do
  flags=(--config=person "--config.data.train_minutes=$count" "--workdir=runs/person_$count" "$@")
  # Above ten minutes an epoch has more than 40 steps: as many fewer of them.
  if ((count > 10)); then
    flags+=("--config.max_epochs=$((820 / count))" "--config.optim.decay_after=$((240 / count))")
    flags+=("--config.optim.decay=$(awk "BEGIN { print 0.96 ^ ($count / 10) }")")
  fi
  ${S2F:-s2f} "${flags[@]}"
  ${S2F:-s2f} evaluate "${flags[@]}"
done
