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

TILES = 1024  # Of frames taken at a time: their transforms stay in the cache.


class Filter(NamedTuple):
    """outputs = back @ ((kernel @ taps) * (input @ tile)), as matrices [to, from]."""

    input: np.ndarray  # [points, tile + taps - 1]
    kernel: np.ndarray  # [points, taps]
    back: np.ndarray  # [tile, points]


def _filter(tile: int, taps: int) -> Filter:
    """Toom-Cook at 0, 1, -1, 2 and infinity, as many as it takes."""
    size = tile + taps - 1
    points = np.array([0.0, 1, -1, 2])[: size - 1]
    infinity = np.eye(size)[-1:]
    powers = np.concatenate([np.vander(points, size, increasing=True), infinity])
    kernel = np.concatenate([np.vander(points, taps, increasing=True), np.eye(taps)[-1:]])
    back = np.concatenate([np.vander(points, tile, increasing=True), np.eye(tile)[-1:]]).T
    # Whole numbers in the large transforms; the kernel's, the smallest, takes the fractions.
    inverse = np.linalg.inv(powers).T
    scale = np.append([np.prod(p - np.delete(points, i)) for i, p in enumerate(points)], 1)
    return Filter(np.round(inverse * scale[:, None]), kernel / scale[:, None], back)


Filters = tuple[Filter, Filter]  # For height and width.


def filters(space: Sequence[int], taps: int) -> Filters | None:
    """For outputs of this height and width; None where they are no whole number of tiles."""
    tiles = [next((t for t in (2, 3) if size % t == 0), 0) for size in space]
    if taps == 2:  # Larger tiles save more, and these need no larger factors.
        tiles = [next((t for t in (3, 2) if size % t == 0), 0) for size in space]
    if not all(tiles):
        return None
    height, width = (_filter(tile, taps) for tile in tiles)
    return height, width


def _combine(row: np.ndarray, parts: Sequence[Array]) -> Array:
    """The sum of row[i] * parts[i], without the zeros."""
    terms = [
        p if c == 1 else -p if c == -1 else float(c) * p
        for c, p in zip(row, parts, strict=True)
        if c
    ]
    return sum(terms[1:], terms[0])


def _take(x: Array, f: Filter, axis: int) -> list[Array]:
    """Overlapping tiles along an axis -> one array a point, with as many rows as tiles."""
    tile, size = len(f.back), len(f.input)
    tiles = (x.shape[axis] - size) // tile + 1
    parts = [lax.slice_in_dim(x, i, i + tile * (tiles - 1) + 1, tile, axis) for i in range(size)]
    return [_combine(row, parts) for row in f.input]


def _untake(points: Sequence[Array], f: Filter, axis: int) -> Array:
    """The adjoint of _take: tiles are added where they overlap."""
    tile, size = len(f.back), len(f.input)
    parts = [_combine(column, points) for column in f.input.T]
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


def _give(points: Sequence[Array], f: Filter, axis: int) -> Array:
    """One array a point -> the outputs of the tiles, side by side."""
    return _interleave([_combine(row, points) for row in f.back], axis)


def _ungive(y: Array, f: Filter, axis: int) -> list[Array]:
    """The adjoint of _give."""
    tile = len(f.back)
    parts = [lax.slice_in_dim(y, i, None, tile, axis) for i in range(tile)]
    return [_combine(column, parts) for column in f.back.T]


Change = Callable[[Array], Array]
Transform = Callable[[Any, Filter, int], Any]


def _apart(split: Transform, x: Array, f: Filters) -> list[list[Array]]:
    """A transform along height and width -> [points of height][points of width]."""
    return [split(row, f[1], 2) for row in split(x, f[0], 1)]


def _together(join: Transform, points: Sequence[Sequence[Array]], f: Filters) -> Array:
    return join([join(row, f[1], 2) for row in points], f[0], 1)


def _tiles(space: Sequence[int], f: Filters) -> int:
    return math.prod(size // len(each.back) for size, each in zip(space, f, strict=True))


def _chunks(x: Array, tiles: int) -> Array:
    """[N, ...] -> [chunks, frames, ...], a frame being so many tiles."""
    n = x.shape[0]
    frames = max(k for k in range(1, n + 1) if n % k == 0 and (k == 1 or k * tiles <= TILES))
    return x.reshape(n // frames, frames, *x.shape[1:])


def _by_frames(function: Change, x: Array, tiles: int) -> Array:
    """function over a few frames at a time."""
    out = lax.map(function, _chunks(x, tiles))
    return out.reshape(x.shape[0], *out.shape[2:])


Points = list[list[Array]]


def of_kernel(kernel: Array, f: Filters) -> Points:
    """[taps, taps, C, F] -> [points][points] of [C, F]: a kernel as `correlate` takes it."""
    rows = [_combine(row, list(kernel)) for row in f[0].kernel]
    return [[_combine(column, list(row)) for column in f[1].kernel] for row in rows]


def _unof_kernel(points: Sequence[Sequence[Array]], f: Filters) -> Array:
    """The adjoint of of_kernel."""
    rows = [jnp.stack([_combine(tap, row) for tap in f[1].kernel.T]) for row in points]
    return jnp.stack([_combine(tap, rows) for tap in f[0].kernel.T])


def correlate(prepare: Change, x: Array, u: Points, f: Filters) -> Array:
    """prepare(x) [N, H + taps - 1, W + taps - 1, C], of_kernel([taps, taps, C, F])
    -> [N, H, W, F]."""

    def some(x: Array) -> Array:
        rows = enumerate(_apart(_take, prepare(x), f))
        return _together(_give, [[v @ u[i][j] for j, v in enumerate(row)] for i, row in rows], f)

    taps = f[0].kernel.shape[1]
    _, *space, _ = jax.eval_shape(prepare, x).shape
    return _by_frames(some, x, _tiles([size - taps + 1 for size in space], f))


def input_gradient(finish: Change, y: Array, u: Points, f: Filters) -> Array:
    """finish of correlate's adjoint: [N, H, W, F] -> [N, H + taps - 1, W + taps - 1, C].

    u: of_kernel of the kernel with its channels swapped, [taps, taps, F, C].
    """

    def some(y: Array) -> Array:
        rows = enumerate(_apart(_ungive, y, f))
        products = [[v @ u[i][j] for j, v in enumerate(row)] for i, row in rows]
        return finish(_together(_untake, products, f))

    return _by_frames(some, y, _tiles(y.shape[1:3], f))


def kernel_gradient(prepare: Change, x: Array, y: Array, f: Filters) -> Array:
    """The adjoint of correlate in the kernel -> [taps, taps, C, F]."""

    def product(v: Array, d: Array) -> Array:
        return v.reshape(-1, v.shape[-1]).T @ d.reshape(-1, d.shape[-1])

    def some(x: Array, y: Array) -> Array:
        pairs = zip(_apart(_take, prepare(x), f), _apart(_ungive, y, f), strict=True)
        return _unof_kernel([list(map(product, *pair)) for pair in pairs], f)

    tiles = _tiles(y.shape[1:3], f)
    xs, ys = _chunks(x, tiles), _chunks(y, tiles)
    none = jax.tree.map(jnp.zeros_like, jax.eval_shape(some, xs[0], ys[0]))
    return lax.scan(lambda total, xy: (total + some(*xy), None), none, (xs, ys))[0]
