#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8): a Y4M file whose header has more than 127 bytes is refused as a bad argument.
#
# YUV4MPEG2 lets a header carry any number of comments, X and a word each. A checksum among them is
# enough to pass the limit, and the error says nothing of a header.
#
# Seen:
#   header of 127 bytes: 1 frame
#   header of 128 bytes: ArgumentError, Invalid argument
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet av==18.1.0 || exit 2
venv/bin/python - <<'EOF'
import io

import av

seen = []
for length in (127, 128):
    start = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C444 XSUM="
    header = start + b"0" * (length - len(start))
    video = header + b"\nFRAME\n" + bytes(3 * 16 * 16)
    try:
        with av.open(io.BytesIO(video)) as container:
            result = f"{sum(1 for _ in container.decode(video=0))} frame"
    except av.error.FFmpegError as error:
        result = f"{type(error).__name__}, {error.strerror}"
    seen.append(result)
    print(f"header of {length} bytes: {result}")
assert seen == ["1 frame", "ArgumentError, Invalid argument"]
EOF
