#!/usr/bin/env bash
# SciPy 1.17.1: on a signal without samples, `lfilter` loses the state that it is given.
#
# A filter over sound that comes in pieces passes `zi`, the state after the piece before, and gets the new
# one back. For a piece of 0 samples the state should come back as it went in; what comes back is
# whatever memory held. All that follows is wrong, by a different amount each time, without an error.
#
# Seen:
#   1 sample, then 2: state [0.3] -> [0.27], [0.2187]
#   0 samples, one dimension: state [0.3] -> [10000.0] (or [10.0], or another number)
#   0 samples, two dimensions: the state is lost
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet scipy==1.17.1 || exit 2
venv/bin/python - <<'EOF'
import numpy as np
from scipy.signal import lfilter

b, a = [0.1], [1.0, -0.9]
state = np.array([0.3])
_, one = lfilter(b, a, np.zeros(1), zi=state)
_, two = lfilter(b, a, np.zeros(2), zi=one)
print(f"1 sample, then 2: state {state.tolist()} -> {one.round(4).tolist()}, {two.round(4).tolist()}")
_, none = lfilter(b, a, np.zeros(0), zi=state)
print(f"0 samples, one dimension: state {state.tolist()} -> {none.tolist()}")
_, both = lfilter(b, a, np.zeros((2, 0)), zi=np.full((2, 1), 0.3))
print(f"0 samples, two dimensions: the state is {'kept' if (both == 0.3).all() else 'lost'}")
assert np.allclose(one, 0.27) and not np.allclose(none, 0.3) and not (both == 0.3).all()
EOF
