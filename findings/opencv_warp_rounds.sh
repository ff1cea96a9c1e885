#!/usr/bin/env bash
# opencv-python-headless 4.14.0.94 and 5.0.0.93: warpAffine moves by steps of 1/32 pixel in 4, and by
# what was asked for in 5.
#
# OpenCV 4 rounds the place of every pixel to 1/32 before it interpolates, for float32 images too: a
# shift by 1/64 pixel returns the picture as it was. Landmarks and faces aligned by 4 and by 5 differ
# by up to some grey levels where there is contrast, with the same code and no message.
#
# Seen (noise from 0 to 255, float32, shifted by 1/64 pixel; the largest distance in grey levels from
# linear interpolation done by hand, and from the picture as it was):
#   4.14.0: from linear interpolation 3.875, from the unshifted picture 0.000
#   5.0.0: from linear interpolation 0.000, from the unshifted picture 3.875
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv four
"${PYTHON:-python3}" -m venv five
four/bin/pip install --quiet opencv-python-headless==4.14.0.94 numpy==2.4.6 || exit 2
five/bin/pip install --quiet opencv-python-headless==5.0.0.93 numpy==2.4.6 || exit 2
cat >main.py <<'EOF'
import cv2
import numpy as np

picture = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.float32)
shift = np.float32([[1, 0, 1 / 64], [0, 1, 0]])
warped = cv2.warpAffine(picture, shift, (64, 64), flags=cv2.INTER_LINEAR)[:, 1:]
by_hand = (1 - 1 / 64) * picture[:, 1:] + 1 / 64 * picture[:, :-1]
from_hand = np.abs(warped - by_hand).max()
from_unshifted = np.abs(warped - picture[:, 1:]).max()
print(
    f"{cv2.__version__}: from linear interpolation {from_hand:.3f}, from the unshifted picture"
    f" {from_unshifted:.3f}"
)
if cv2.__version__.startswith("4"):
    assert from_unshifted == 0 and from_hand > 3
else:
    assert from_hand < 1e-3 and from_unshifted > 3
EOF
four/bin/python main.py
five/bin/python main.py
