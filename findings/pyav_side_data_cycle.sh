#!/usr/bin/env bash
# PyAV 18.1.0: reading a frame's side data keeps the frame in memory, or raises a ValueError.
#
# `VideoFrame.side_data` is how a display matrix with its mirroring is read; `rotation` is the angle
# alone. The container that it makes refers to the frame, and the frame to it, so that no frame is
# freed before Python's cyclic garbage collector runs: of 4K video 12 MB each, hundreds of them. And
# since FFmpeg 8 a frame of Motion JPEG with EXIF has side data of a kind that PyAV does not list;
# then none of a frame's side data can be read, its display matrix included.
#
# Seen (Python 3.11):
#   frames in memory after 100: 2, and 101 after their side data was read
#   ValueError: 31 is not a valid Type
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet av==18.1.0 pillow==12.3.0 || exit 2
venv/bin/python - <<'EOF'
import gc
import io

import av
from PIL import Image

video = io.BytesIO()
with av.open(video, "w", format="mp4") as file:
    stream = file.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for _ in range(100):
        file.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
    file.mux(stream.encode(None))


def left(read):
    video.seek(0)
    gc.collect()
    with av.open(video) as file:
        for frame in file.decode(video=0):
            if read:
                frame.side_data
        return sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())


gc.disable()
kept = left(False), left(True)
print(f"frames in memory after 100: {kept[0]}, and {kept[1]} after their side data was read")
photo, exif = io.BytesIO(), Image.Exif()
exif[0x0112] = 5  # The orientation: mirrored, and turned.
Image.new("RGB", (64, 48)).save(photo, "JPEG", exif=exif)
photo.seek(0)
message = ""
with av.open(photo) as file:
    try:
        next(file.decode(video=0)).side_data
    except ValueError as error:
        message = str(error)
print(f"ValueError: {message}")
assert kept[0] <= 2 and kept[1] >= 100 and "is not a valid Type" in message
EOF
