"""An animated WebP read back."""

import numpy as np
from PIL import Image, ImageSequence


def read(path):
    """-> pictures int [T, H, W, 3], and how long each is shown, in milliseconds.

    Pictures that are alike follow each other as one.
    """
    pictures, lasting = [], []
    with Image.open(path) as file:
        for picture in ImageSequence.Iterator(file):
            pictures.append(np.array(picture.convert("RGB"), int))
            lasting.append(picture.info["duration"])
    return np.stack(pictures), np.array(lasting)
