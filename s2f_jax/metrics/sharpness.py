"""CPBD and FDBM per clip: no-reference sharpness of the frames.

CPBD is the cumulative probability of blur detection. This is our own code, written from the published
description and from how Matlab's edge(), which the authors' program calls, decides; Matlab was not
at hand to compare with. As the authors ask of whoever uses the metric, we name them and their
papers, with thanks:

  N. D. Narvekar and L. J. Karam, "A No-Reference Image Blur Metric Based on the Cumulative
  Probability of Blur Detection (CPBD)", IEEE Transactions on Image Processing 20(9), 2678-2683, 2011.
  N. D. Narvekar and L. J. Karam, "A No-Reference Perceptual Image Sharpness Metric Based on a
  Cumulative Probability of Blur Detection", International Workshop on Quality of Multimedia
  Experience (QoMEX), 2009.

Their software is copyright (c) 2009-2010 Arizona Board of Regents, all rights reserved; none of it is
in here. FDBM is the frequency domain blurriness measure:

  K. De and V. Masilamani, "Image Sharpness Measure for Blurred Images in Frequency Domain", Procedia
  Engineering 64, 149-158, 2013.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from s2f_jax.metrics.image import mean_over_frames

BLOCK = 64  # Pixels, the side of CPBD's blocks; the rest of the image is ignored.
EDGE_REACH = 2  # Pixels around one that decide whether it is an edge.
_EDGE_BLOCK_PIXELS = 8  # A block with more Canny pixels is an edge block: over 0.2 % of them.
# Widths of an edge, in pixels, whose blur is just noticeable: in blocks of low and high contrast.
_LOW_CONTRAST, _WIDTH_LOW, _WIDTH_HIGH = 50, 5, 3
# Matlab's edge(): the Sobel response over 8 is above 2; and Canny's parameters
_SOBEL = 2 * 8
_SIGMA, _QUANTILE, _BINS, _LOW_SHARE = 2**0.5, 0.7, 64, 0.4
_ROUNDING = 1e-6  # Neighbours that are equal, as beside a drawn edge, must be so in float32.
_GREY = np.rint(np.array([0.2989360213, 0.5870430745, 0.1140209043]) * 2**22).astype(np.int32)
_GREY_FDBM = (2125.0, 7154.0, 721.0)  # In 10,000ths: sums of these are exact in float32.
_FDBM_SHARE = 1e-3  # Of the largest magnitude.


def cpbd(frames: jax.Array, mask: jax.Array) -> jax.Array:
    """Share of the vertical edges too narrow for their blur to be noticed, mean over valid frames.

    Of the edges in the 64x64 blocks (from the upper left; the rest of the image is ignored) that
    have enough edges at all. A frame without any scores 0, as does one smaller than a block.

    Args:
      frames: uint8 [B, T, H, W, 3].
      mask: bool [B, T], the valid frames.

    Returns:
      float32 [B] in [0, 1]; NaN where no frame is valid.
    """
    return mean_over_frames(_per_frame(_cpbd_per_image, frames), mask)


def fdbm(frames: jax.Array, mask: jax.Array) -> jax.Array:
    """Share of the frequencies stronger than a thousandth of the strongest, mean over valid frames.

    A black frame scores 0.

    Args:
      frames: uint8 [B, T, H, W, 3].
      mask: bool [B, T], the valid frames.

    Returns:
      float32 [B] in [0, 1]; NaN where no frame is valid.
    """
    return mean_over_frames(_per_frame(_fdbm_per_image, frames), mask)


def _per_frame(per_image: Callable[[jax.Array], jax.Array], frames: jax.Array) -> jax.Array:
    """Returns a metric of images for each frame of [B, T, H, W, 3], one after another, [B, T].

    Compiled by shape as in image.ssim, to bound the memory.
    """
    return lax.map(per_image, jnp.moveaxis(frames, 1, 0)).T


def _fdbm_per_image(images: jax.Array) -> jax.Array:
    """FDBM [B] of uint8 [B, H, W, 3]."""
    height, width = images.shape[1:3]
    grey = images.astype(jnp.float32) @ jnp.array(_GREY_FDBM)
    # The strongest frequency of an image without negative values is 0, its sum. The mean is
    # subtracted before the FFT: float32 would round all other frequencies to the scale of the sum.
    mean = jnp.round(jnp.mean(grey, axis=(1, 2), keepdims=True))
    strongest = jnp.sum(grey - mean, axis=(1, 2)) + height * width * mean[:, 0, 0]
    half = jnp.abs(jnp.fft.rfft2(grey - mean))  # [B, H, W // 2 + 1]
    above = half > _FDBM_SHARE * strongest[:, None, None]
    above = above.at[:, 0, 0].set(strongest > 0)
    multiplicity = np.full(width // 2 + 1, 2)  # The spectrum of a real image is symmetric.
    multiplicity[0] = 1
    if width % 2 == 0:
        multiplicity[-1] = 1
    return jnp.sum(above * multiplicity[None, None], axis=(1, 2)) / (height * width)


def _cpbd_per_image(images: jax.Array) -> jax.Array:
    """CPBD [B] of uint8 [B, H, W, 3]."""
    red, green, blue = jnp.moveaxis(images.astype(jnp.int32), -1, 0)
    grey = _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue + (1 << 21) >> 22
    if min(grey.shape[1:]) < BLOCK:
        return jnp.zeros(len(images))
    count, narrow, barely = _count_edges(grey)
    contrast = _over_blocks(grey, jnp.max) - _over_blocks(grey, jnp.min)
    is_edge_block = _has_edges(grey)
    sharp = jnp.where(contrast <= _LOW_CONTRAST, barely, narrow)
    total = jnp.sum(jnp.where(is_edge_block, count, 0), axis=(1, 2))
    return jnp.sum(jnp.where(is_edge_block, sharp, 0), axis=(1, 2)) / jnp.maximum(total, 1)


def _count_edges(grey: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the counts of vertical edges in each block [B, rows, columns]: all, <= 3 px, <= 5 px wide.

    All in integers, so that no rounding decides.
    """
    reach = _WIDTH_LOW  # Pixels further away make no difference to the three counts.
    height, width = (side // BLOCK * BLOCK for side in grey.shape[1:])
    padded = jnp.pad(grey, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    padded = padded.astype(jnp.int16)  # Holds Sobel's responses, at most 1020, and is faster.

    def at(x: jax.Array, down: int, right: int) -> jax.Array:
        """Shifts x by so many pixels, for each pixel of the blocks."""
        top, left = reach + down, reach + right
        return x[:, top : top + height, left : left + width]

    around = slice(reach - EDGE_REACH, EDGE_REACH - reach)
    edge = vertical_edges(padded[:, around, around])[:, :height, :width]
    inside = np.pad(np.ones((grey.shape[1] - 2, grey.shape[2] - 2), bool), 1)  # Not on the border.
    edge &= inside[None, :height, :width]
    slope = (at(padded, 0, 1) - at(padded, 0, -1)).astype(jnp.int32)
    tilt = jnp.abs(at(padded, 1, 0) - at(padded, -1, 0)).astype(jnp.int32)
    # Within 22.5 degrees of the horizontal: tilt < (sqrt(2) - 1) |slope|. Where there is no slope
    # the authors leave the angle at 0.
    edge &= ((tilt + jnp.abs(slope)) ** 2 < 2 * slope**2) | (slope == 0)

    wider = _width_test(lambda right: at(padded, 0, right), slope >= 0)
    narrow, barely = edge & ~wider(_WIDTH_HIGH), edge & ~wider(_WIDTH_LOW)
    return _count(edge), _count(narrow), _count(barely)


def vertical_edges(image: jax.Array) -> jax.Array:
    """Finds the edges that Matlab's edge(image, 'sobel', 2, 'vertical') keeps.

    Asked for vertical edges alone, it takes the horizontal derivative as the strength of an edge, yet
    thins edges both ways. A pixel whose strength is above 2 is kept if it is a maximum along its row
    and the horizontal derivative is at least as large as the vertical one, or if it is a maximum
    along its column, whatever the vertical derivative. A maximum is no weaker than the pixel before
    it and stronger than the one after it: of equal neighbours the last is kept.

    Args:
      image: Grey levels, int16 or int32 [B, H, W].

    Returns:
      bool [B, H - 4, W - 4], for the pixels at least two from the border.
    """
    height, width = (side - 2 * EDGE_REACH for side in image.shape[1:])

    def at(down: int, right: int) -> jax.Array:
        top, left = EDGE_REACH + down, EDGE_REACH + right
        return image[:, top : top + height, left : left + width]

    taps = ((1, -1), (2, 0), (1, 1))  # Sobel's weights across the derivative, and where.

    def strength(down: int, right: int) -> jax.Array:
        """Horizontal derivative, so many pixels further."""
        ways = (w * (at(down + i, right + 1) - at(down + i, right - 1)) for w, i in taps)
        return jnp.abs(sum(ways))

    def is_maximum(before: jax.Array, after: jax.Array) -> jax.Array:
        return (strength(0, 0) >= before) & (strength(0, 0) > after)

    vertical = jnp.abs(sum(w * (at(1, i) - at(-1, i)) for w, i in taps))
    in_row = is_maximum(strength(0, -1), strength(0, 1)) & (strength(0, 0) >= vertical)
    in_column = is_maximum(strength(-1, 0), strength(1, 0))
    return (strength(0, 0) > _SOBEL) & (in_row | in_column)


def _width_test(
    shifted: Callable[[int], jax.Array], rising: jax.Array
) -> Callable[[int], jax.Array]:
    """Returns a function of w: whether the edge at each pixel [B, H, W] is wider than w pixels.

    From an edge's pixel one walks to either side as long as the image rises (or falls, as the edge
    does); the edge is as wide as both walks together.

    Args:
      shifted: Right -> the image [B, H, W] so many pixels to the right.
      rising: Whether the edge rises to the right.
    """

    def monotonic(right: int) -> jax.Array:
        step = shifted(right + 1) - shifted(right)
        return jnp.where(rising, step > 0, step < 0)

    # left[k], right[k]: whether the walk goes on for k steps beyond the pixel's direct neighbour.
    left, right = [jnp.ones_like(rising)], [jnp.ones_like(rising)]
    for k in range(1, _WIDTH_LOW):
        right.append(right[-1] & monotonic(k))
        left.append(left[-1] & monotonic(-k - 1))

    def wider(pixels: int) -> jax.Array:
        steps = pixels - 1  # To both sides together, beyond the neighbours.
        ways = (left[i] & right[steps - i] for i in range(steps + 1))
        return functools.reduce(jnp.bitwise_or, ways)

    return wider


def _has_edges(grey: jax.Array) -> jax.Array:
    """Returns whether Canny's detector finds over 0.2 % edge pixels in a block [B, rows, columns].

    Hysteresis: weak pixels that are connected to strong ones are edges as well. They are followed
    only until every block is decided: in faces, hardly ever a step.
    """
    weak, strong = _canny(grey)
    enough_weak = _count(weak) > _EDGE_BLOCK_PIXELS

    def has_enough(edges: jax.Array) -> jax.Array:
        return _count(edges) > _EDGE_BLOCK_PIXELS

    def undecided(state: tuple[jax.Array, jax.Array]) -> jax.Array:
        edges, grown = state
        return grown & jnp.any(enough_weak & ~has_enough(edges))

    def grow(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        edges, _ = state
        dilated = lax.reduce_window(
            edges, False, lax.bitwise_or, (1, 3, 3), (1, 1, 1), ((0, 0), (1, 1), (1, 1))
        )
        return dilated & weak, jnp.any((dilated & weak) != edges)

    edges, _ = lax.while_loop(undecided, grow, (strong, jnp.array(True)))
    return has_enough(edges)


def _canny(grey: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the local maxima of the gradient of int32 [B, H, W] above the lower and the higher threshold.

    As Matlab's edge(): bool [B, H, W] twice, never on the border.
    """
    height, width = grey.shape[1:]
    x = grey.astype(jnp.float32) - 128  # Around zero less is lost to rounding.
    gaussian, derivative = _canny_taps()
    across = _filtered(x, _banded(gaussian, height), _banded(derivative, width))
    along = _filtered(x, _banded(derivative, height), _banded(gaussian, width))
    magnitude = jnp.sqrt(across**2 + along**2)
    largest = jnp.max(magnitude, axis=(1, 2), keepdims=True)
    magnitude = magnitude / jnp.where(largest > 0, largest, 1)
    bins = jnp.floor((_BINS - 1) * magnitude + 0.5).astype(jnp.uint8)
    # The first bin up to which more than 70 % of the pixels lie, by bisection: a histogram would
    # need a scatter.
    first = jnp.zeros(len(grey), jnp.uint8)
    for half in (32, 16, 8, 4, 2, 1):
        below = jnp.sum(bins < (first + np.uint8(half))[:, None, None], axis=(1, 2))
        first += jnp.where(below > _QUANTILE * height * width, 0, half).astype(jnp.uint8)
    high = ((first.astype(jnp.float32) + 1) / _BINS)[:, None, None]
    peak = _local_maxima(magnitude, across, along)
    peak = jnp.pad(peak, ((0, 0), (1, 1), (1, 1)))
    return peak & (magnitude > _LOW_SHARE * high), peak & (magnitude > high)


def _local_maxima(magnitude: jax.Array, across: jax.Array, along: jax.Array) -> jax.Array:
    """Returns which inner pixels are no weaker than both neighbours along the gradient.

    The neighbours are interpolated; from three [B, H, W] to bool [B, H - 2, W - 2].
    """

    def at(down: int, right: int) -> jax.Array:
        height, width = magnitude.shape[1:]
        return magnitude[:, 1 + down : height - 1 + down, 1 + right : width - 1 + right]

    across, along = across[:, 1:-1, 1:-1], along[:, 1:-1, 1:-1]
    ax, ay = jnp.abs(across), jnp.abs(along)
    level, same = ax >= ay, across * along > 0
    major, minor = jnp.maximum(ax, ay), jnp.minimum(ax, ay)
    peak = True
    for side in (-1, 1):
        straight = jnp.where(level, at(0, side), at(side, 0))
        other = jnp.where(level, at(-side, side), at(side, -side))
        diagonal = jnp.where(same, at(side, side), other)
        beyond = straight * (major - minor) + diagonal * minor
        peak &= (1 + _ROUNDING) * at(0, 0) * major >= beyond
    return peak


def _canny_taps() -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian of sum 1, and its derivative, whose two halves have the sums 1 and -1."""
    extent = int(np.ceil(4 * _SIGMA))
    x = np.arange(-extent, extent + 1)
    gaussian = np.exp(-(x**2) / (2 * _SIGMA**2))
    gaussian /= gaussian.sum()
    derivative = np.gradient(gaussian)
    return gaussian, derivative / derivative[derivative > 0].sum()


def _banded(taps: np.ndarray, n: int) -> np.ndarray:
    """Matrix [n, n] whose row i holds the taps around column i; edge pixels are repeated outwards."""
    band, reach = np.zeros((n, n), np.float32), len(taps) // 2
    for i in range(n):
        # A convolution: the taps in reverse.
        np.add.at(band[i], np.clip(np.arange(i - reach, i + reach + 1), 0, n - 1), taps[::-1])
    return band


def _filtered(x: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    """Filters [B, H, W] with a matrix over rows and one over columns."""
    return jnp.einsum("hi,bij,wj->bhw", rows, x, columns, precision="highest")


def _count(x: jax.Array) -> jax.Array:
    """Counts the true values of bool [B, H, W] in each block."""
    return _over_blocks(x, jnp.count_nonzero)


def _over_blocks(x: jax.Array, reduce: Callable[..., jax.Array]) -> jax.Array:
    """Reduces [B, H, W] to one value per whole block, [B, H // 64, W // 64]."""
    rows, columns = (side // BLOCK for side in x.shape[1:])
    blocks = x[:, : rows * BLOCK, : columns * BLOCK].reshape(-1, rows, BLOCK, columns, BLOCK)
    return reduce(blocks, axis=(2, 4))
