"""Raw clips to shards, and whatever reads and writes media."""

import os

# OpenCV asks once, when it is first imported. Its own limit is 2^30, which takes gigabytes.
MOST_PIXELS = os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
