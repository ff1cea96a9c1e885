#!/usr/bin/env bash
# tensorboardX 2.6.5: add_video without moviepy raises nothing and writes an entry without a video.
#
# moviepy is not among what tensorboardX requires. A line on the standard output is all that says so;
# the event file holds the tag with no image behind it, so that TensorBoard shows nothing. add_audio
# raises in the same place.
#
# Seen:
#   moviepy is not installed.
#   add_video returned None
#   add_audio raised ModuleNotFoundError
#   v: holds no value
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet tensorboardX==2.6.5 numpy==2.4.6 protobuf==6.33.6 || exit 2
venv/bin/python - <<'EOF'
import pathlib
import struct

import numpy as np
import tensorboardX
from tensorboardX.proto import event_pb2

writer = tensorboardX.SummaryWriter("log")
print("add_video returned", writer.add_video("v", np.zeros((1, 4, 3, 16, 16), np.uint8), fps=4))
try:
    writer.add_audio("a", np.zeros((1600, 1), np.float32), sample_rate=16000)
    raised = None
except ModuleNotFoundError as error:
    raised = type(error).__name__
print("add_audio raised", raised)
writer.close()

(path,) = pathlib.Path("log").iterdir()
records, values = path.read_bytes(), []
while records:  # Length, its checksum, an event, its checksum.
    (size,) = struct.unpack("<Q", records[:8])
    values += event_pb2.Event.FromString(records[12 : 12 + size]).summary.value
    records = records[16 + size :]
for value in values:
    print(f"{value.tag}: holds {value.WhichOneof('value') or 'no value'}")
assert raised and [(v.tag, v.WhichOneof("value")) for v in values] == [("v", None)]
EOF
