"""Where the mouth and the eyes are in an aligned face."""

# The mouth of an aligned face: rows 72-111, columns 28-71 of a 128x96 image.
_MOUTH_ROWS, _MOUTH_COLUMNS = (72 / 128, 112 / 128), (28 / 96, 72 / 96)
# Its eyes, from under the brows to the nose's bridge: rows 30-55, columns 18-77.
_EYE_ROWS, _EYE_COLUMNS = (30 / 128, 56 / 128), (18 / 96, 78 / 96)


def mouth_box(height: int, width: int) -> tuple[slice, slice]:
    """Locates the mouth in an aligned face.

    Args:
      height: Pixels of the image.
      width: Pixels of the image.

    Returns:
      Rows and columns.
    """
    return _box(height, width, _MOUTH_ROWS, _MOUTH_COLUMNS)


def eye_box(height: int, width: int) -> tuple[slice, slice]:
    """Locates both eyes in an aligned face.

    Args:
      height: Pixels of the image.
      width: Pixels of the image.

    Returns:
      Rows and columns.
    """
    return _box(height, width, _EYE_ROWS, _EYE_COLUMNS)


def _box(
    height: int, width: int, rows: tuple[float, float], columns: tuple[float, float]
) -> tuple[slice, slice]:
    """Scales the edges of a box to an image's size."""
    return (
        slice(*(round(edge * height) for edge in rows)),
        slice(*(round(edge * width) for edge in columns)),
    )
