"""Winograd's minimal filtering: stride-1 convolutions with about half of the multiplications.

Along one axis, `tile` outputs of a kernel of `taps` need tile + taps - 1 products instead of
tile * taps: transform overlapping tiles of the input and the kernel, multiply point by point,
transform back. On both axes, and with channels, every point is one matrix product over all tiles,
which is what a CPU does best. The factors are small fractions, so float32 loses next to nothing.
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.)
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array = jax.Array

TILES_PER_CHUNK = 1024  # Of frames taken at a time: their transforms stay in the cache.


class WinogradTransform(NamedTuple):
    """The matrices of F(tile, taps) along one axis, [to, from].

    outputs = output @ ((kernel @ taps) * (input @ tile)); in Lavin and Gray's letters A^T, G and B^T.

    Attributes:
      input: B^T, [points, tile + taps - 1].
      kernel: G, [points, taps].
      output: A^T, [tile, points].
    """

    input: np.ndarray
    kernel: np.ndarray
    output: np.ndarray


def _transform(tile: int, taps: int) -> WinogradTransform:
    """Toom-Cook at 0, 1, -1, 2 and infinity, as many as it takes."""
    size = tile + taps - 1
    points = np.array([0.0, 1, -1, 2])[: size - 1]
    infinity = np.eye(size)[-1:]
    powers = np.concatenate([np.vander(points, size, increasing=True), infinity])
    kernel = np.concatenate([np.vander(points, taps, increasing=True), np.eye(taps)[-1:]])
    output = np.concatenate([np.vander(points, tile, increasing=True), np.eye(tile)[-1:]]).T
    # The transforms of maps, which are large, get whole numbers; the kernel's takes the fractions.
    inverse = np.linalg.inv(powers).T
    scale = np.append([np.prod(p - np.delete(points, i)) for i, p in enumerate(points)], 1)
    return WinogradTransform(np.round(inverse * scale[:, None]), kernel / scale[:, None], output)


Transforms2D = tuple[WinogradTransform, WinogradTransform]  # For height and width.


def transforms_for(space: Sequence[int], taps: int) -> Transforms2D | None:
    """Selects the transforms for outputs of some size.

    Args:
      space: Height and width of the outputs.
      taps: Size of the kernel along either axis.

    Returns:
      Transforms for height and width; None where either is no whole number of tiles.
    """
    # Larger tiles save more; of 3 taps they need larger factors, which cost accuracy.
    wanted = (3, 2) if taps == 2 else (2, 3)
    tiles = [next((tile for tile in wanted if size % tile == 0), 0) for size in space]
    if not all(tiles):
        return None
    height, width = (_transform(tile, taps) for tile in tiles)
    return height, width


def _linear_combination(row: np.ndarray, parts: Sequence[Array]) -> Array:
    """The sum of row[i] * parts[i], without the zeros."""
    terms = [
        p if c == 1 else -p if c == -1 else float(c) * p
        for c, p in zip(row, parts, strict=True)
        if c
    ]
    return sum(terms[1:], terms[0])


def _input_transform(x: Array, f: WinogradTransform, axis: int) -> list[Array]:
    """B^T d along an axis: overlapping tiles -> one array a point, with as many rows as tiles."""
    tile, size = len(f.output), len(f.input)
    tiles = (x.shape[axis] - size) // tile + 1
    parts = [lax.slice_in_dim(x, i, i + tile * (tiles - 1) + 1, tile, axis) for i in range(size)]
    return [_linear_combination(row, parts) for row in f.input]


def _input_transform_adjoint(points: Sequence[Array], f: WinogradTransform, axis: int) -> Array:
    """B d, the adjoint of _input_transform: tiles are added where they overlap."""
    tile, size = len(f.output), len(f.input)
    parts = [_linear_combination(column, points) for column in f.input.T]
    more = -(-size // tile) - 1  # Tiles that a tile reaches beyond itself.
    none = [(0, 0, 0)] * points[0].ndim

    def shifted(part: Array, by: int) -> Array:
        edges = none.copy()
        edges[axis] = (by, more - by, 0)
        return lax.pad(part, jnp.zeros((), part.dtype), edges)

    rows = [sum(shifted(part, by) for by, part in enumerate(parts[i::tile])) for i in range(tile)]
    x = _interleave(rows, axis)
    return lax.slice_in_dim(x, 0, tile * points[0].shape[axis] + size - tile, axis=axis)


def _interleave(parts: Sequence[Any], axis: int) -> Array:
    shape = list(parts[0].shape)
    shape[axis] *= len(parts)
    return jnp.stack(parts, axis + 1).reshape(shape)


def _output_transform(points: Sequence[Array], f: WinogradTransform, axis: int) -> Array:
    """A^T m along an axis: one array a point -> the outputs of the tiles, side by side."""
    return _interleave([_linear_combination(row, points) for row in f.output], axis)


def _output_transform_adjoint(y: Array, f: WinogradTransform, axis: int) -> list[Array]:
    """A m, the adjoint of _output_transform."""
    tile = len(f.output)
    parts = [lax.slice_in_dim(y, i, None, tile, axis) for i in range(tile)]
    return [_linear_combination(column, parts) for column in f.output.T]


MapsFunction = Callable[[Array], Array]
AxisTransform = Callable[[Any, WinogradTransform, int], Any]


def _split_2d(split: AxisTransform, x: Array, f: Transforms2D) -> list[list[Array]]:
    """A transform along height and width -> [points of height][points of width]."""
    return [split(row, f[1], 2) for row in split(x, f[0], 1)]


def _join_2d(join: AxisTransform, points: Sequence[Sequence[Array]], f: Transforms2D) -> Array:
    return join([join(row, f[1], 2) for row in points], f[0], 1)


def _tile_count(space: Sequence[int], f: Transforms2D) -> int:
    return math.prod(size // len(each.output) for size, each in zip(space, f, strict=True))


def _chunks(x: Array, tiles: int) -> Array:
    """[N, ...] -> [chunks, frames, ...], a frame being so many tiles."""
    n = x.shape[0]
    frames = max(
        k for k in range(1, n + 1) if n % k == 0 and (k == 1 or k * tiles <= TILES_PER_CHUNK)
    )
    return x.reshape(n // frames, frames, *x.shape[1:])


def _map_chunks(function: MapsFunction, x: Array, tiles: int) -> Array:
    """Function over a few frames at a time."""
    out = lax.map(function, _chunks(x, tiles))
    return out.reshape(x.shape[0], *out.shape[2:])


TransformedKernel = list[list[Array]]


def kernel_transform(kernel: Array, f: Transforms2D) -> TransformedKernel:
    """Transforms a kernel, G g G^T.

    Args:
      kernel: [taps, taps, C, F].
      f: Transforms for height and width.

    Returns:
      [points of height][points of width] of [C, F], as `correlate` takes it.
    """
    rows = [_linear_combination(row, list(kernel)) for row in f[0].kernel]
    return [[_linear_combination(column, list(row)) for column in f[1].kernel] for row in rows]


def _kernel_transform_adjoint(points: Sequence[Sequence[Array]], f: Transforms2D) -> Array:
    """The adjoint of kernel_transform."""
    rows = [jnp.stack([_linear_combination(tap, row) for tap in f[1].kernel.T]) for row in points]
    return jnp.stack([_linear_combination(tap, rows) for tap in f[0].kernel.T])


def correlate(prepare: MapsFunction, x: Array, u: TransformedKernel, f: Transforms2D) -> Array:
    """Computes a stride-1 correlation, a few frames at a time.

    Args:
      prepare: Applied to the frames of a chunk first, such as padding: to do it for all at once would
        copy them.
      x: prepare(x) is [N, H + taps - 1, W + taps - 1, C].
      u: `kernel_transform` of the kernel.
      f: Transforms for height and width.

    Returns:
      [N, H, W, F].
    """

    def correlate_chunk(x: Array) -> Array:
        rows = enumerate(_split_2d(_input_transform, prepare(x), f))
        products = [[v @ u[i][j] for j, v in enumerate(row)] for i, row in rows]
        return _join_2d(_output_transform, products, f)

    taps = f[0].kernel.shape[1]
    _, *space, _ = jax.eval_shape(prepare, x).shape
    return _map_chunks(correlate_chunk, x, _tile_count([size - taps + 1 for size in space], f))


def input_gradient(finish: MapsFunction, y: Array, u: TransformedKernel, f: Transforms2D) -> Array:
    """Computes the adjoint of `correlate` in its input.

    Args:
      finish: Applied to the result of each chunk, such as cropping.
      y: [N, H, W, F].
      u: `kernel_transform` of the kernel with its channels swapped, [taps, taps, F, C].
      f: Transforms for height and width.

    Returns:
      finish of [N, H + taps - 1, W + taps - 1, C].
    """

    def gradient_chunk(y: Array) -> Array:
        rows = enumerate(_split_2d(_output_transform_adjoint, y, f))
        products = [[v @ u[i][j] for j, v in enumerate(row)] for i, row in rows]
        return finish(_join_2d(_input_transform_adjoint, products, f))

    return _map_chunks(gradient_chunk, y, _tile_count(y.shape[1:3], f))


def kernel_gradient(prepare: MapsFunction, x: Array, y: Array, f: Transforms2D) -> Array:
    """Computes the adjoint of `correlate` in its kernel.

    Args:
      prepare: Applied to the frames of a chunk first, such as padding.
      x: The input of `correlate`.
      y: The gradient of its output, [N, H, W, F].
      f: Transforms for height and width.

    Returns:
      [taps, taps, C, F].
    """

    def product(v: Array, d: Array) -> Array:
        return v.reshape(-1, v.shape[-1]).T @ d.reshape(-1, d.shape[-1])

    def gradient_chunk(x: Array, y: Array) -> Array:
        inputs = _split_2d(_input_transform, prepare(x), f)
        pairs = zip(inputs, _split_2d(_output_transform_adjoint, y, f), strict=True)
        return _kernel_transform_adjoint([list(map(product, *pair)) for pair in pairs], f)

    tiles = _tile_count(y.shape[1:3], f)
    xs, ys = _chunks(x, tiles), _chunks(y, tiles)
    none = jax.tree.map(jnp.zeros_like, jax.eval_shape(gradient_chunk, xs[0], ys[0]))
    return lax.scan(lambda total, xy: (total + gradient_chunk(*xy), None), none, (xs, ys))[0]
