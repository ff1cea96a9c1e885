"""Turns raw clips into shards of examples, and reads and writes media."""

import os

# OpenCV reads the limit once, when it is first imported. Its default, 2^30, takes gigabytes.
MAX_PIXELS = os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
