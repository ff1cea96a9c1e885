#!/usr/bin/env bash
# PyAV 18.1.0: the packets that end each stream say `stream_index` 0; their `stream` is right.
#
# `demux` of several streams yields an empty packet for each at the end, which makes its decoder give what
# it still holds. Sorted by `stream_index`, all of them go to stream 0: decoded there they end
# the *other* streams' decoders, whose packets that still wait fail with "End of file".
#
# Seen:
#   stream 0: packets 40, that end a stream 2
#   stream 1: packets 40, that end a stream 0
#   by packet.stream.index: [0, 1]
#   decoding stream 0's packets, then stream 1's: 40 frames, then EOFError
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6 || exit 2
venv/bin/python - <<'EOF'
import av
import numpy as np

with av.open("two.mka", "w") as file:
    for stream in [file.add_stream("flac", rate=16000, layout="mono") for _ in range(2)]:
        for part in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4608), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 16000, 4608 * part
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))

with av.open("two.mka") as file:
    packets = {0: [], 1: []}
    for packet in file.demux():
        packets[packet.stream_index].append(packet)
    for index, own in packets.items():
        print(f"stream {index}: packets {sum(1 for p in own if p.size)}, that end a stream"
              f" {sum(1 for p in own if not p.size)}")
    ends = [packet.stream.index for packet in packets[0] if not packet.size]
    print(f"by packet.stream.index: {ends}")
    frames = sum(len(packet.decode()) for packet in packets[0])
    try:
        outcome = f"{sum(len(packet.decode()) for packet in packets[1])} frames"
    except av.error.EOFError as error:
        outcome = type(error).__name__
    print(f"decoding stream 0's packets, then stream 1's: {frames} frames, then {outcome}")
assert ends == [0, 1] and outcome == "EOFError"
EOF
