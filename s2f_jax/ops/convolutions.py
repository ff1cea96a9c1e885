"""Convolutions by the algorithm that is fastest on each platform.

XLA's CPU backend is fast at plain convolutions and up to a hundred times slower at dilated ones,
which is what a transposed convolution, the input gradient of a strided one and the kernel gradient
of a transposed one become. So the two 4x4, stride 2 layers below state each other as gradients.
On the CPU a layer with many positions and channels is computed by Winograd's algorithm; without
them, the dilated convolution is replaced by four plain phase convolutions or, where the maps are small
or the channels few, by one matrix product. GPU and TPU get XLA's own. The page
docs/explanations/speed.md has what each algorithm brought.

Some algorithms pack the kernel first. Training does that in each step; whoever uses the same weights
again and again does it once (`pack_kernel`).
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export, lax

from s2f_jax.ops import winograd

Array = jax.Array
ArrayOrShape = jax.Array | jax.ShapeDtypeStruct

FEW_POSITIONS = 12  # Of a map (4x3): up to so many, a matrix product beats a CPU convolution.
MANY_POSITIONS = 512  # Of a batch: from so many on, Winograd's transform of the kernel pays.
FEW_CHANNELS = 32  # Below so many, Winograd's transform of the maps does not pay.


def _zero_pad(x: Array, edges: Sequence[tuple[int, int]]) -> Array:
    """Pads (or, where negative, crops) the axes between the first and the last."""
    config = [(0, 0, 0), *((low, high, 0) for low, high in edges), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def plain_conv(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """XLA's own convolution, with torch's padding.

    Args:
      x: [N, *space, C], one or two axes of space.
      kernel: [*sizes, C, F].
      stride: Stride along every axis.
      padding: Zeros at either end of every axis.

    Returns:
      [N, *space, F].
    """
    space = "HW"[: x.ndim - 2]
    strides, edges = (stride,) * len(space), [(padding, padding)] * len(space)
    axes = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, kernel, strides, edges, dimension_numbers=axes)


def _space_to_depth(x: Array, stride: int) -> Array:
    """[N, s*H, s*W, C] -> [N, H, W, s*s*C]: a strided convolution becomes a stride-1 one."""
    n, *space, c = x.shape
    rank = len(space)
    x = x.reshape(n, *itertools.chain(*((size // stride, stride) for size in space)), c)
    x = x.transpose(0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return x.reshape(n, *(size // stride for size in space), stride**rank * c)


def matrix_conv(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """`plain_conv` as one product of gathered patches and the kernel as a matrix (im2col).

    Args:
      x: [N, *space, C].
      kernel: [*sizes, C, F]; sizes must be multiples of the stride.
      stride: Stride along every axis.
      padding: Zeros at either end of every axis.

    Returns:
      [N, *space, F].
    """
    *sizes, _, features = kernel.shape
    space = x.shape[1:-1]
    out = [(s + 2 * padding - k) // stride + 1 for s, k in zip(space, sizes, strict=True)]
    # Only what the kernel sees, which is a whole number of strides.
    spans = [stride * (o - 1) + k for o, k in zip(out, sizes, strict=True)]
    x = _zero_pad(x, [(padding, n - s - padding) for n, s in zip(spans, space, strict=True)])
    if stride > 1:
        x = _space_to_depth(x, stride)
        kernel = _space_to_depth(kernel.reshape(1, *sizes, -1), stride)
        sizes = kernel.shape[1:-1]
    patches = []
    for at in itertools.product(*(range(k) for k in sizes)):
        window = (slice(a, a + o) for a, o in zip(at, out, strict=True))
        patches.append(x[:, *window])
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, features)


def transpose_kernel(kernel: Array) -> Array:
    """Makes the kernel with which either of the stride 2 layers is the other one's input gradient.

    Args:
      kernel: [4, 4, C, F].

    Returns:
      [4, 4, F, C], turned by 180 degrees.
    """
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _plain_conv_transpose(x: Array, kernel: Array) -> Array:
    # As the input gradient of a convolution, which is what XLA gives to cuDNN. As a convolution of maps with
    # zeros in between, which is what it makes of a kernel that is not turned, cuDNN multiplies the zeros too:
    # four times as many products, and a copy of the maps four times as large (findings/conv_transpose_on_gpu.sh).
    down = transpose_kernel(kernel)
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_transpose(
        x, down, (2, 2), "SAME", dimension_numbers=layout, transpose_kernel=True
    )


class ConvAlgorithm(NamedTuple):
    """A way to compute a layer on a CPU.

    Attributes:
      pack: Transforms the kernel; independent of the maps, so that it can be done once.
      apply: Computes the layer from maps and the packed kernel.
      unpack: The inverse of `pack`, for other platforms; None: it is used on a CPU alone.
    """

    pack: Callable[[Array], Any]
    apply: Callable[[Array, Any], Array]
    unpack: Callable[[Any], Array] | None = None


_PHASES = tuple(itertools.product((0, 1), (0, 1)))


def _split_phases(kernel: Array) -> list[Array]:
    return [kernel[a::2, b::2] for a, b in _PHASES]


def _join_phases(kernels: Sequence[Array]) -> Array:
    _, _, c, f = kernels[0].shape
    apart = jnp.stack(kernels).reshape(2, 2, 2, 2, c, f)  # Phases, then taps, of each axis.
    return apart.transpose(2, 0, 3, 1, 4, 5).reshape(4, 4, c, f)


def _phase_conv_transpose(x: Array, kernels: Sequence[Array]) -> Array:
    """Each of the four output phases is a plain 2x2 convolution."""
    n, h, w, _ = x.shape
    phases = [
        lax.conv_general_dilated(
            x, kernel, (1, 1), [(1 - a, a), (1 - b, b)], dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        for (a, b), kernel in zip(_PHASES, kernels, strict=True)
    ]
    out = jnp.stack(phases).reshape(2, 2, n, h, w, -1)
    return out.transpose(2, 3, 0, 4, 1, 5).reshape(n, 2 * h, 2 * w, -1)


def _kernel_to_matrix(kernel: Array) -> Array:
    """[4, 4, C, F] -> [C, 16 * F]."""
    return kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)


def _matrix_to_kernel(matrix: Array) -> Array:
    return matrix.reshape(matrix.shape[0], 4, 4, -1).transpose(1, 2, 0, 3)


def _matrix_conv_transpose(x: Array, matrix: Array) -> Array:
    """All 16 taps of each input position in one product, then added where they overlap."""
    n, h, w, _ = x.shape
    taps = (x @ matrix).reshape(n, h, w, 4, 4, -1).transpose(0, 1, 3, 2, 4, 5)

    def overlap(taps: Array, axis: int) -> Array:
        """[..., size, 4, ...] at (axis, axis + 1) -> [..., size, 2, ...]."""
        taps = jnp.moveaxis(taps, (axis, axis + 1), (1, 2))
        rest = [(0, 0)] * (taps.ndim - 4)
        even = taps[:, :, 2] + _zero_pad(taps[:, :, 0], [(1, -1), *rest])
        odd = taps[:, :, 1] + _zero_pad(taps[:, :, 3], [(-1, 1), *rest])
        return jnp.moveaxis(jnp.stack([even, odd], axis=2), (1, 2), (axis, axis + 1))

    return overlap(overlap(taps, 1), 3).reshape(n, 2 * h, 2 * w, -1)


def _winograd_transforms(x: ArrayOrShape, taps: int, channels: int) -> winograd.Transforms2D | None:
    """For outputs of x's size [N, H, W, ...] on a CPU; None where Winograd's does not pay."""
    if export.is_symbolic_dim(x.shape[0]):  # In an exported program it cannot be known.
        return None
    if math.prod(x.shape[:3]) < MANY_POSITIONS or channels < FEW_CHANNELS:
        return None
    return winograd.transforms_for(x.shape[1:3], taps)


def _to_blocks(x: Array) -> Array:
    """[N, 2H, 2W, C] -> [N, H + 1, W + 1, 4 * C], on which the stride 2 layer is a stride 1 2x2 convolution."""
    return _space_to_depth(_zero_pad(x, [(1, 1), (1, 1)]), 2)


def _from_blocks(x: Array) -> Array:
    """The inverse of _to_blocks."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, c // 4)[:, 1:-1, 1:-1]


def _kernel_to_blocks(kernel: Array) -> Array:
    """[4, 4, C, F] -> [2, 2, 4 * C, F]."""
    *_, c, f = kernel.shape
    return _space_to_depth(kernel.reshape(1, 4, 4, c * f), 2).reshape(2, 2, 4 * c, f)


def _kernel_from_blocks(kernel: Array) -> Array:
    c, f = kernel.shape[2] // 4, kernel.shape[3]
    return kernel.reshape(2, 2, 2, 2, c, f).transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, c, f)


def _plain_kernel_gradient(x: Array, kernel: Array, out: Array, stride: int) -> Array:
    transpose = jax.linear_transpose(lambda kernel: plain_conv(x, kernel, stride, 1), kernel)
    return transpose(out)[0]


def _conv_transpose_algorithm(x: ArrayOrShape, kernel: Array) -> ConvAlgorithm:
    if f := _winograd_transforms(x, 2, kernel.shape[-1]):

        def up(kernel: Array) -> winograd.TransformedKernel:
            blocks = _kernel_to_blocks(transpose_kernel(kernel)).swapaxes(2, 3)
            return winograd.kernel_transform(blocks, f)

        return ConvAlgorithm(
            up, lambda x, points: winograd.input_gradient(_from_blocks, x, points, f)
        )
    if x.shape[1] * x.shape[2] <= FEW_POSITIONS or kernel.shape[-1] <= 4:
        return ConvAlgorithm(_kernel_to_matrix, _matrix_conv_transpose, _matrix_to_kernel)
    return ConvAlgorithm(_split_phases, _phase_conv_transpose, _join_phases)


def _conv_transpose4x4_stride2(x: Array, kernel: Array) -> Array:
    def on_cpu(x: Array, kernel: Array) -> Array:
        algorithm = _conv_transpose_algorithm(x, kernel)
        return algorithm.apply(x, algorithm.pack(kernel))

    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=_plain_conv_transpose)


def _conv4x4_stride2(x: Array, kernel: Array) -> Array:
    elsewhere = functools.partial(plain_conv, stride=2, padding=1)

    def on_cpu(x: Array, kernel: Array) -> Array:
        if f := _winograd_transforms(x[:, ::2, ::2], 2, kernel.shape[2]):
            u = winograd.kernel_transform(_kernel_to_blocks(kernel), f)
            return winograd.correlate(_to_blocks, x, u, f)
        return elsewhere(x, kernel)

    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


def _conv4x4_stride2_kernel_gradient(x: Array, kernel: Array, out: Array) -> Array:
    elsewhere = functools.partial(_plain_kernel_gradient, stride=2)

    def on_cpu(x: Array, kernel: Array, out: Array) -> Array:
        if f := _winograd_transforms(out, 2, kernel.shape[2]):
            return _kernel_from_blocks(winograd.kernel_gradient(_to_blocks, x, out, f))
        return elsewhere(x, kernel, out)

    return lax.platform_dependent(x, kernel, out, cpu=on_cpu, default=elsewhere)


@jax.custom_vjp
def conv4x4_stride2(x: Array, kernel: Array) -> Array:
    """4x4 convolution, stride 2, padding 1.

    Args:
      x: [N, 2H, 2W, C].
      kernel: [4, 4, C, F].

    Returns:
      [N, H, W, F].
    """
    return _conv4x4_stride2(x, kernel)


@jax.custom_vjp
def conv_transpose4x4_stride2(x: Array, kernel: Array) -> Array:
    """4x4 transposed convolution, stride 2, as nn.ConvTranspose with 'SAME' padding.

    Args:
      x: [N, H, W, C].
      kernel: [4, 4, C, F].

    Returns:
      [N, 2H, 2W, F].
    """
    return _conv_transpose4x4_stride2(x, kernel)


def _conv4x4_stride2_backward(residuals: tuple[Array, Array], out: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    return _conv_transpose4x4_stride2(
        out, transpose_kernel(kernel)
    ), _conv4x4_stride2_kernel_gradient(x, kernel, out)


def _conv_transpose4x4_stride2_backward(
    residuals: tuple[Array, Array], out: Array
) -> tuple[Array, Array]:
    x, kernel = residuals
    down = transpose_kernel(kernel)
    return _conv4x4_stride2(out, down), transpose_kernel(
        _conv4x4_stride2_kernel_gradient(out, down, x)
    )


conv4x4_stride2.defvjp(
    lambda x, kernel: (_conv4x4_stride2(x, kernel), (x, kernel)), _conv4x4_stride2_backward
)
conv_transpose4x4_stride2.defvjp(
    lambda x, kernel: (_conv_transpose4x4_stride2(x, kernel), (x, kernel)),
    _conv_transpose4x4_stride2_backward,
)


def _pad_one(x: Array) -> Array:
    return _zero_pad(x, [(1, 1), (1, 1)])


def _unchanged(kernel: Array) -> Array:
    return kernel


def _conv3x3_algorithm(x: ArrayOrShape, kernel: Array) -> ConvAlgorithm:
    if f := _winograd_transforms(x, 3, kernel.shape[2]):

        def points(kernel: Array) -> winograd.TransformedKernel:
            return winograd.kernel_transform(kernel, f)

        return ConvAlgorithm(points, lambda x, points: winograd.correlate(_pad_one, x, points, f))
    small = x.shape[1] * x.shape[2] <= FEW_POSITIONS
    conv = matrix_conv if small else plain_conv
    return ConvAlgorithm(_unchanged, lambda x, kernel: conv(x, kernel, 1, 1), _unchanged)


def _conv3x3(x: Array, kernel: Array) -> Array:
    elsewhere = functools.partial(plain_conv, stride=1, padding=1)

    def on_cpu(x: Array, kernel: Array) -> Array:
        algorithm = _conv3x3_algorithm(x, kernel)
        return algorithm.apply(x, algorithm.pack(kernel))

    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


@jax.custom_vjp
def conv3x3(x: Array, kernel: Array) -> Array:
    """3x3 convolution, padding 1.

    Args:
      x: [N, H, W, C].
      kernel: [3, 3, C, F].

    Returns:
      [N, H, W, F].
    """
    return _conv3x3(x, kernel)


def _conv3x3_backward(residuals: tuple[Array, Array], out: Array) -> tuple[Array, Array]:
    elsewhere = functools.partial(_plain_kernel_gradient, stride=1)

    def on_cpu(x: Array, kernel: Array, out: Array) -> Array:
        if f := _winograd_transforms(x, 3, kernel.shape[2]):
            return winograd.kernel_gradient(_pad_one, x, out, f)
        if x.shape[1] * x.shape[2] <= FEW_POSITIONS:
            return jax.vjp(lambda kernel: matrix_conv(x, kernel, 1, 1), kernel)[1](out)[0]
        return elsewhere(x, kernel, out)

    x, kernel = residuals
    kernel_gradient = lax.platform_dependent(x, kernel, out, cpu=on_cpu, default=elsewhere)
    return _conv3x3(out, transpose_kernel(kernel)), kernel_gradient


conv3x3.defvjp(lambda x, kernel: (_conv3x3(x, kernel), (x, kernel)), _conv3x3_backward)


def conv(x: Array, kernel: Array, stride: int = 1, padding: int = 0) -> Array:
    """1-D or 2-D convolution with torch's padding, by the algorithm that is fastest here.

    Args:
      x: [N, *space, C].
      kernel: [*sizes, C, F].
      stride: Stride along every axis.
      padding: Zeros at either end of every axis.

    Returns:
      [N, *space, F].
    """
    *sizes, _, _ = kernel.shape
    if (sizes, stride, padding) == ([4, 4], 2, 1):
        return conv4x4_stride2(x, kernel)
    if (sizes, stride, padding) == ([3, 3], 1, 1):
        return conv3x3(x, kernel)

    on_cpu = functools.partial(matrix_conv, stride=stride, padding=padding)
    elsewhere = functools.partial(plain_conv, stride=stride, padding=padding)
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PackedKernel:
    """A packed kernel of `conv3x3` or `conv_transpose4x4_stride2`; called with maps, it is that layer.

    Attributes:
      parts: What the algorithm's `pack` made.
      algorithm: Name of the algorithm that computes the layer on a CPU.
      layer: The layer for other platforms.
    """

    parts: Any
    algorithm: ConvAlgorithm = dataclasses.field(metadata={"static": True})
    layer: Callable[[Array, Array], Array] = dataclasses.field(metadata={"static": True})

    def __call__(self, x: Array) -> Array:
        """Computes the layer.

        Args:
          x: [N, H, W, C], of the size that the kernel was packed for.

        Returns:
          The layer's output.
        """
        if (unpack := self.algorithm.unpack) is None:
            return self.algorithm.apply(x, self.parts)

        def elsewhere(x: Array, parts: Any) -> Array:
            return self.layer(x, unpack(parts))

        # Where a program is made for several platforms, the parts are the same on all of them.
        return lax.platform_dependent(x, self.parts, cpu=self.algorithm.apply, default=elsewhere)


def pack_kernel(
    layer: Callable[[Array, Array], Array], kernel: Array, shape: Sequence[int]
) -> PackedKernel:
    """Packs a kernel once, for many calls of a layer on a CPU.

    Args:
      layer: `conv3x3` or `conv_transpose4x4_stride2`.
      kernel: Kernel of the layer.
      shape: Shape of the maps, [N, H, W, C].

    Returns:
      A PackedKernel.
    """
    x = jax.ShapeDtypeStruct(tuple(shape), kernel.dtype)
    algorithm = (_conv3x3_algorithm if layer is conv3x3 else _conv_transpose_algorithm)(x, kernel)
    return PackedKernel(jax.jit(algorithm.pack)(kernel), algorithm, layer)
