"""Convolutions in the form that each platform likes.

XLA's CPU backend is fast at plain convolutions and up to a hundred times slower at dilated ones,
which is what a transposed convolution, the input gradient of a strided one and the kernel gradient
of a transposed one become. So the two 4x4, stride 2 layers below state each other as gradients.
On the CPU a layer with many positions and channels takes Winograd's form; without them, the dilated
form is replaced by four plain phase convolutions or, where the maps are small or the channels few,
by one matrix product. GPU and TPU get the plain forms. docs/explanations/speed.md has what each brought.

Some forms first arrange the kernel. Training does that in each step; who uses the same weights again
and again does it once (`arranged`).
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export, lax

from s2f_jax.ops import winograd

Array = jax.Array
Shaped = jax.Array | jax.ShapeDtypeStruct

SMALL = 12  # Positions of a map (4x3) up to which a matrix product beats a CPU convolution.
MANY = 512  # Positions of a batch from which transforming the kernel pays.
FEW = 32  # Channels below which transforming the maps does not.


def _zero_pad(x: Array, edges: Sequence[tuple[int, int]]) -> Array:
    """Pads (or, where negative, crops) the axes between the first and the last."""
    config = [(0, 0, 0), *((low, high, 0) for low, high in edges), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def plain_conv(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    space = "HW"[: x.ndim - 2]
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride,) * len(space),
        [(padding, padding)] * len(space),
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
    )


def _space_to_depth(x: Array, stride: int) -> Array:
    """[N, s*H, s*W, C] -> [N, H, W, s*s*C]: a strided convolution becomes a stride-1 one."""
    n, *space, c = x.shape
    rank = len(space)
    x = x.reshape(n, *itertools.chain(*((size // stride, stride) for size in space)), c)
    x = x.transpose(0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return x.reshape(n, *(size // stride for size in space), stride**rank * c)


def matrix_conv(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """plain_conv as one product of gathered patches and the kernel as a matrix.

    Kernel sizes must be multiples of the stride.
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
    """The kernel with which `double` undoes `halve`, and the other way round."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _dilated_double(x: Array, kernel: Array) -> Array:
    return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


class ConvAlgorithm(NamedTuple):
    """A way to compute a layer on a CPU: what it makes of the kernel, and the rest."""

    arrange: Callable[[Array], Any]
    apply: Callable[[Array, Any], Array]
    restore: Callable[[Any], Array] | None = None  # arrange's inverse, for other platforms.


_PHASES = tuple(itertools.product((0, 1), (0, 1)))


def _phases(kernel: Array) -> list[Array]:
    return [kernel[a::2, b::2] for a, b in _PHASES]


def _unphases(kernels: Sequence[Array]) -> Array:
    _, _, c, f = kernels[0].shape
    apart = jnp.stack(kernels).reshape(2, 2, 2, 2, c, f)  # Phases, then taps, of each axis.
    return apart.transpose(2, 0, 3, 1, 4, 5).reshape(4, 4, c, f)


def _phase_double(x: Array, kernels: Sequence[Array]) -> Array:
    """Each of the four output phases is a plain 2x2 convolution."""
    n, h, w, _ = x.shape
    phases = [
        lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            [(1 - a, a), (1 - b, b)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        for (a, b), kernel in zip(_PHASES, kernels, strict=True)
    ]
    out = jnp.stack(phases).reshape(2, 2, n, h, w, -1)
    return out.transpose(2, 3, 0, 4, 1, 5).reshape(n, 2 * h, 2 * w, -1)


def _taps(kernel: Array) -> Array:
    """[4, 4, C, F] -> [C, 16 * F]."""
    return kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)


def _untaps(matrix: Array) -> Array:
    return matrix.reshape(matrix.shape[0], 4, 4, -1).transpose(1, 2, 0, 3)


def _matrix_double(x: Array, matrix: Array) -> Array:
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


def _filters(x: Shaped, taps: int, channels: int) -> winograd.Filters | None:
    """For outputs of x's size [N, H, W, ...] on a CPU; None where Winograd's form does not pay.

    Nor where it cannot be known: of an exported program N is a symbol.
    """
    if export.is_symbolic_dim(x.shape[0]):
        return None
    if math.prod(x.shape[:3]) < MANY or channels < FEW:
        return None
    return winograd.filters(x.shape[1:3], taps)


def _blocks(x: Array) -> Array:
    """[N, 2H, 2W, C] -> [N, H + 1, W + 1, 4 * C], on which `halve` is a 2x2 convolution."""
    return _space_to_depth(_zero_pad(x, [(1, 1), (1, 1)]), 2)


def _unblocks(x: Array) -> Array:
    """The inverse of _blocks."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, c // 4)[:, 1:-1, 1:-1]


def _block_kernel(kernel: Array) -> Array:
    """[4, 4, C, F] -> [2, 2, 4 * C, F]."""
    *_, c, f = kernel.shape
    return _space_to_depth(kernel.reshape(1, 4, 4, c * f), 2).reshape(2, 2, 4 * c, f)


def _unblock_kernel(kernel: Array) -> Array:
    c, f = kernel.shape[2] // 4, kernel.shape[3]
    return kernel.reshape(2, 2, 2, 2, c, f).transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, c, f)


def _plain_kernel_gradient(x: Array, out: Array, kernel: Array, stride: int) -> Array:
    of_kernel = jax.linear_transpose(lambda kernel: plain_conv(x, kernel, stride, 1), kernel)
    return of_kernel(out)[0]


def _double_form(x: Shaped, kernel: Array) -> ConvAlgorithm:
    if f := _filters(x, 2, kernel.shape[-1]):

        def up(kernel: Array) -> winograd.Points:
            return winograd.of_kernel(_block_kernel(transpose_kernel(kernel)).swapaxes(2, 3), f)

        return ConvAlgorithm(up, lambda x, points: winograd.input_gradient(_unblocks, x, points, f))
    if x.shape[1] * x.shape[2] <= SMALL or kernel.shape[-1] <= 4:
        return ConvAlgorithm(_taps, _matrix_double, _untaps)
    return ConvAlgorithm(_phases, _phase_double, _unphases)


def _double(x: Array, kernel: Array) -> Array:
    def on_cpu(x: Array, kernel: Array) -> Array:
        form = _double_form(x, kernel)
        return form.apply(x, form.arrange(kernel))

    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=_dilated_double)


def _halve(x: Array, kernel: Array) -> Array:
    def elsewhere(x: Array, kernel: Array) -> Array:
        return plain_conv(x, kernel, 2, 1)

    def on_cpu(x: Array, kernel: Array) -> Array:
        if f := _filters(x[:, ::2, ::2], 2, kernel.shape[2]):
            return winograd.correlate(_blocks, x, winograd.of_kernel(_block_kernel(kernel), f), f)
        return elsewhere(x, kernel)

    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


def _halve_kernel_gradient(x: Array, kernel: Array, out: Array) -> Array:
    def elsewhere(x: Array, kernel: Array, out: Array) -> Array:
        return _plain_kernel_gradient(x, out, kernel, 2)

    def on_cpu(x: Array, kernel: Array, out: Array) -> Array:
        if f := _filters(out, 2, kernel.shape[2]):
            return _unblock_kernel(winograd.kernel_gradient(_blocks, x, out, f))
        return elsewhere(x, kernel, out)

    return lax.platform_dependent(x, kernel, out, cpu=on_cpu, default=elsewhere)


@jax.custom_vjp
def conv4x4_stride2(x: Array, kernel: Array) -> Array:
    """4x4 convolution, stride 2, padding 1: [N, 2H, 2W, C] -> [N, H, W, F]."""
    return _halve(x, kernel)


@jax.custom_vjp
def conv_transpose4x4_stride2(x: Array, kernel: Array) -> Array:
    """Its transpose, as nn.ConvTranspose with 'SAME' padding: [N, H, W, C] -> [N, 2H, 2W, F]."""
    return _double(x, kernel)


def _halve_backward(residuals: tuple[Array, Array], out: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    return _double(out, transpose_kernel(kernel)), _halve_kernel_gradient(x, kernel, out)


def _double_backward(residuals: tuple[Array, Array], out: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    down = transpose_kernel(kernel)
    return _halve(out, down), transpose_kernel(_halve_kernel_gradient(out, down, x))


conv4x4_stride2.defvjp(lambda x, kernel: (_halve(x, kernel), (x, kernel)), _halve_backward)
conv_transpose4x4_stride2.defvjp(
    lambda x, kernel: (_double(x, kernel), (x, kernel)), _double_backward
)


def _edged(x: Array) -> Array:
    return _zero_pad(x, [(1, 1), (1, 1)])


def _as_it_is(kernel: Array) -> Array:
    return kernel


def _keep_form(x: Shaped, kernel: Array) -> ConvAlgorithm:
    if f := _filters(x, 3, kernel.shape[2]):

        def points(kernel: Array) -> winograd.Points:
            return winograd.of_kernel(kernel, f)

        return ConvAlgorithm(points, lambda x, points: winograd.correlate(_edged, x, points, f))
    small = x.shape[1] * x.shape[2] <= SMALL
    conv = matrix_conv if small else plain_conv
    return ConvAlgorithm(_as_it_is, lambda x, kernel: conv(x, kernel, 1, 1), _as_it_is)


def _keep(x: Array, kernel: Array) -> Array:
    def elsewhere(x: Array, kernel: Array) -> Array:
        return plain_conv(x, kernel, 1, 1)

    def on_cpu(x: Array, kernel: Array) -> Array:
        form = _keep_form(x, kernel)
        return form.apply(x, form.arrange(kernel))

    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


@jax.custom_vjp
def conv3x3(x: Array, kernel: Array) -> Array:
    """3x3 convolution, padding 1: [N, H, W, C] -> [N, H, W, F]."""
    return _keep(x, kernel)


def _keep_backward(residuals: tuple[Array, Array], out: Array) -> tuple[Array, Array]:
    def elsewhere(x: Array, kernel: Array, out: Array) -> Array:
        return _plain_kernel_gradient(x, out, kernel, 1)

    def on_cpu(x: Array, kernel: Array, out: Array) -> Array:
        if f := _filters(x, 3, kernel.shape[2]):
            return winograd.kernel_gradient(_edged, x, out, f)
        if x.shape[1] * x.shape[2] <= SMALL:
            return jax.vjp(lambda kernel: matrix_conv(x, kernel, 1, 1), kernel)[1](out)[0]
        return elsewhere(x, kernel, out)

    x, kernel = residuals
    of_kernel = lax.platform_dependent(x, kernel, out, cpu=on_cpu, default=elsewhere)
    return _keep(out, transpose_kernel(kernel)), of_kernel


conv3x3.defvjp(lambda x, kernel: (_keep(x, kernel), (x, kernel)), _keep_backward)


def conv(x: Array, kernel: Array, stride: int = 1, padding: int = 0) -> Array:
    """1-D or 2-D convolution with torch's padding, in the form the platform likes."""
    *sizes, _, _ = kernel.shape
    if (sizes, stride, padding) == ([4, 4], 2, 1):
        return conv4x4_stride2(x, kernel)
    if (sizes, stride, padding) == ([3, 3], 1, 1):
        return conv3x3(x, kernel)

    def on_cpu(x: Array, kernel: Array) -> Array:
        return matrix_conv(x, kernel, stride, padding)

    def elsewhere(x: Array, kernel: Array) -> Array:
        return plain_conv(x, kernel, stride, padding)

    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PackedKernel:
    """A kernel of `keep` or `double` as one form takes it: called with maps, it is that layer."""

    parts: Any
    form: ConvAlgorithm = dataclasses.field(metadata={"static": True})
    layer: Callable[[Array, Array], Array] = dataclasses.field(metadata={"static": True})

    def __call__(self, x: Array) -> Array:
        if (restore := self.form.restore) is None:
            return self.form.apply(x, self.parts)

        def elsewhere(x: Array, parts: Any) -> Array:
            return self.layer(x, restore(parts))

        # Where a program is made for several platforms, the parts are the same on all of them.
        return lax.platform_dependent(x, self.parts, cpu=self.form.apply, default=elsewhere)


def pack_kernel(layer: Callable[[Array, Array], Array], kernel: Array, shape: Sequence[int]) -> Any:
    """The kernel of `keep` or `double` made ready for maps of that shape [N, H, W, C] on a CPU."""
    x = jax.ShapeDtypeStruct(tuple(shape), kernel.dtype)
    form = (_keep_form if layer is conv3x3 else _double_form)(x, kernel)
    return PackedKernel(jax.jit(form.arrange)(kernel), form, layer)
