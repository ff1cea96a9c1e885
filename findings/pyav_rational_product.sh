#!/usr/bin/env bash
# PyAV 19.0.2: a product of two time bases can be wrong in silence, 0 in place of a small one.
#
# Times and rates are `av.AVRational` since 19, `fractions.Fraction` before. It behaves like a
# Fraction: it equals one, hashes like one, and times a whole number it gives one, exactly. But the
# product of two AVRationals is computed in 32 bits and rounded to the nearest that fits, which for
# two fine time bases is 0, and for large ones the largest there is.
#
# Seen (Python 3.12, which PyAV 19 needs; set PYTHON to another one of at least that version):
#   1/90000 * 1/90000 = 0/1, exact 1/8100000000
#   2147483647/1 * 3/1 = 2147483647/1, exact 6442450941
#   1/48000 * 1/48000 = 1/2147483647, exact 1/2304000000
#   1/90000 * 5000000000 = 500000/9, exact 500000/9
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3.12}" -m venv venv
venv/bin/pip install --quiet av==19.0.2 || exit 2
venv/bin/python - <<'EOF'
from fractions import Fraction

from av import AVRational

tick, largest = AVRational(1, 90000), AVRational(2147483647, 1)
cases = [
    (tick, tick),
    (largest, AVRational(3, 1)),
    (AVRational(1, 48000), AVRational(1, 48000)),
    (tick, 5_000_000_000),
]
products = []
for a, b in cases:
    products.append(a * b)
    print(f"{a} * {b} = {a * b}, exact {Fraction(a) * Fraction(b)}")
assert tick == Fraction(1, 90000) and hash(tick) == hash(Fraction(1, 90000))
assert products == [0, 2147483647, Fraction(1, 2147483647), Fraction(500000, 9)]
EOF
