"""The eight ways in which a camera stores an upright picture, as EXIF and video files name them."""

import dataclasses
import struct
from collections.abc import Sequence

import numpy as np

_EXIF_TAG = 0x0112
_SHORT = 3  # EXIF's type of a 16-bit number.


@dataclasses.dataclass(frozen=True)
class Orientation:
    """How stored pixels become upright: transposed first, then flipped.

    Attributes:
      transposed: Whether rows and columns change places.
      flipped_rows: Whether the order of the rows is reversed after that.
      flipped_columns: Whether the order of the columns is.
    """

    transposed: bool = False
    flipped_rows: bool = False
    flipped_columns: bool = False

    def upright(self, stored: np.ndarray) -> np.ndarray:
        """Turns a stored picture upright.

        Args:
          stored: [H, W, C].

        Returns:
          A view of it, [W, H, C] if `transposed`.
        """
        return self._flipped(stored.swapaxes(0, 1) if self.transposed else stored)

    def stored(self, upright: np.ndarray) -> np.ndarray:
        """Turns an upright picture back, as `upright` undoes.

        Args:
          upright: [H, W, C].

        Returns:
          A view of it, [W, H, C] if `transposed`.
        """
        flipped = self._flipped(upright)
        return flipped.swapaxes(0, 1) if self.transposed else flipped

    @property
    def is_mirrored(self) -> bool:
        """Whether the picture is stored as in a mirror, turned or not."""
        return self.transposed ^ self.flipped_rows ^ self.flipped_columns

    def _flipped(self, pixels: np.ndarray) -> np.ndarray:
        rows, columns = (-1 if self.flipped_rows else 1), (-1 if self.flipped_columns else 1)
        return pixels[::rows, ::columns]


# By the value of EXIF's tag.
EXIF = {
    1: Orientation(),
    2: Orientation(False, False, True),
    3: Orientation(False, True, True),
    4: Orientation(False, True, False),
    5: Orientation(True, False, False),
    6: Orientation(True, False, True),
    7: Orientation(True, True, True),
    8: Orientation(True, True, False),
}


def from_exif(exif: bytes) -> Orientation:
    """Reads the orientation from EXIF metadata.

    Pillow's reader prints warnings about damaged metadata.

    Args:
      exif: A TIFF structure, with or without the "Exif" that JPEG has before it.

    Returns:
      The orientation; EXIF[1] where there is none, or it is damaged.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return EXIF[1]
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, directory)
        for i in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, directory + 2 + 12 * i)
            if tag == _EXIF_TAG and kind == _SHORT:
                return EXIF.get(value, EXIF[1])
    except struct.error:
        pass
    return EXIF[1]


def from_display_matrix(matrix: Sequence[float]) -> Orientation:
    """Reads the orientation from a video's display matrix.

    Args:
      matrix: (a, b, u, c, d, v, x, y, w) of ISO 14496-12: the pixel (p, q), q downwards, is shown
        at (a p + c q, b p + d q), in any unit.

    Returns:
      The orientation; of a turn by other angles, the nearest.
    """
    a, b, _, c, d, *_ = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, d < 0, a < 0)
    return Orientation(True, b < 0, c < 0)
