"""LipNet (Assael et al. 2016): a talking mouth to letters, for word and character error rates.

Or, with other eyes: the low frequencies of the mouth, the features of lip readers before there were
convolutional ones (Potamianos et al. 2003), for corpora that are too small to learn features from.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from s2f_jax.models.layers import BatchNorm, Dtype, full_precision
from s2f_jax.ops import convolutions, gru
from s2f_jax.ops.cosine_transform import low_frequencies


def _plain_conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """X [B, T, H, W, C], kernel [3, k, k, C, F] -> [B, T, H', W', F]; padding k // 2 and, in time, 1."""
    time, *space = ((size // 2, size // 2) for size in kernel.shape[:3])
    strides, axes = (1, stride, stride), ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(x, kernel, strides, (time, *space), dimension_numbers=axes)


def _folded_conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """_plain_conv in 2-D, with the frames before and after as further channels of a frame."""
    # XLA's three-dimensional convolution on a CPU takes four to eight times as long.
    _, size, _, channels, features = kernel.shape
    edge = jnp.zeros_like(x[:, :1])
    before = jnp.concatenate([edge, x[:, :-1]], axis=1)
    after = jnp.concatenate([x[:, 1:], edge], axis=1)
    frames = jnp.concatenate([before, x, after], axis=-1)
    frames = frames.reshape(-1, *frames.shape[2:])
    kernel = kernel.transpose(1, 2, 0, 3, 4).reshape(size, size, 3 * channels, features)
    maps = convolutions.plain_conv(frames, kernel, stride, size // 2)
    return maps.reshape(*x.shape[:2], *maps.shape[1:])


_FREQUENCIES = 8  # Of the front end "cosines", in either direction.
_NOISE = 5  # Among the draws of a clip's key; those before it are of the dropouts.


class TimeConv(nn.Module):
    """Convolution over time (3) and space (k x k), zero-padded.

    Attributes:
      features: Output channels.
      size: k, of the kernel in space.
      stride: Stride in space.
      dtype: Dtype of the computation; parameters stay float32.
    """

    features: int
    size: int
    stride: int = 1
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves.

        Args:
          x: [B, T, H, W, C].

        Returns:
          [B, T, H / stride, W / stride, features], rounded up.
        """
        shape = (3, self.size, self.size, x.shape[-1], self.features)
        full = full_precision(self.dtype)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape, full).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:], full).astype(self.dtype)

        def on_cpu(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return _folded_conv(x, kernel, self.stride)

        def elsewhere(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return _plain_conv(x, kernel, self.stride)

        x = lax.platform_dependent(x.astype(self.dtype), kernel, cpu=on_cpu, default=elsewhere)
        return x + bias.reshape(1, 1, 1, 1, -1)


class BidirectionalGRU(nn.Module):
    """A GRU from each clip's first frame on, one from its last frame back, side by side.

    Like flax's Bidirectional(RNN(GRUCell)) with seq_lengths, but both directions are one loop over
    stacked parameters.

    Attributes:
      features: Number of features of either direction.
      dtype: Dtype of the computation; parameters stay float32.
    """

    features: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Runs over whole clips. Gates as in nn.GRUCell: n = tanh(in(x) + r * hn(h)).

        Args:
          x: [B, T, C].
          mask: bool [B, T]; every clip comes first, then its padding.

        Returns:
          [B, T, 2 * features], 0 where there is padding.
        """
        batch, time, channels = x.shape
        n = self.features
        orthogonal = nn.initializers.orthogonal()

        def recurrent_init(key: jax.Array, shape: Sequence[int], dtype: Dtype) -> jax.Array:
            keys = jax.random.split(key, (2, 3))
            kernels = [[orthogonal(key, (n, n), dtype) for key in gate_keys] for gate_keys in keys]
            return jnp.stack([jnp.concatenate(gates, axis=1) for gates in kernels])

        init = nn.initializers.lecun_normal(batch_axis=0)
        zeros, full = nn.initializers.zeros, full_precision(self.dtype)
        kernel = self.param("kernel", init, (2, channels, 3 * n), full).astype(self.dtype)
        bias = self.param("bias", zeros, (2, 3 * n), full).astype(self.dtype)
        recurrent = self.param("recurrent", recurrent_init, (2, n, 3 * n), full).astype(self.dtype)
        shift = self.param("recurrent_bias", zeros, (2, n), full).astype(self.dtype)

        frames, lengths = jnp.arange(time)[None], mask.sum(axis=1, keepdims=True)
        # Each clip back to front, its padding still behind it; it is its own inverse.
        back = jnp.where(mask, lengths - 1 - frames, frames)[..., None]
        both = jnp.stack([x, jnp.take_along_axis(x, back, axis=1)]).astype(self.dtype)
        weights = gru.GRUWeights(kernel, bias, recurrent, shift)
        start = jnp.zeros((2, batch, n), self.dtype)
        _, states = gru.gru([weights], [start], both.transpose(2, 0, 1, 3))  # [T, 2, B, F]
        ahead, behind = states.transpose(1, 2, 0, 3)
        behind = jnp.take_along_axis(behind, back, axis=1)
        return jnp.concatenate([ahead, behind], axis=-1) * mask[..., None]


class LipNet(nn.Module):
    """Three blocks of convolution and pooling, two bidirectional GRUs, one letter's logits per frame.

    Dropout takes whole channels of a clip, as in the paper's "channel-wise".

    Attributes:
      labels: Letters and space, and last the blank.
      widths: Feature maps of the convolutions.
      features: Number of features of each GRU, in either direction.
      dropout: Share of the channels.
      steps_per_frame: Letters that a frame may show at most: CTC needs a step for each letter, and fast
        speakers say a word of three in two frames. LipNet's is 1.
      centered: Whether each clip's mean frame is taken out, so that what is read is motion; not in
        LipNet, which has many speakers.
      front_end: What a frame becomes: "convolutions", LipNet's, or "cosines", the low frequencies of its
        luminance, each in units of its deviation, and one convolution over 5 frames with as many
        feature maps as the last of `widths`.
      noise: Standard deviation of the noise that the frequencies of "cosines" are trained under, in
        units of theirs.
      dtype: Dtype of the computation; parameters stay float32.
    """

    labels: int = 28
    widths: Sequence[int] = (32, 64, 96)
    features: int = 256
    dropout: float = 0.5
    steps_per_frame: int = 1
    centered: bool = False
    front_end: str = "convolutions"
    noise: float = 0.0
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array, train: bool, keys: jax.Array | None = None
    ) -> jax.Array:
        """Reads clips.

        Args:
          x: [B, T, H, W, 3] in [0, 1].
          mask: bool [B, T]; every clip comes first, then its padding, whose content changes nothing.
          train: Whether there is dropout, and BatchNorm uses the batch's statistics.
          keys: Random keys for the dropout and the noise of each clip, [B]; None: neither.

        Returns:
          Logits float32 [B, steps_per_frame * T, labels].
        """
        batch = len(mask)
        valid = mask[:, :, None, None, None]
        x = jnp.where(valid, x, 0)
        if self.centered:
            mean = x.sum(axis=1, keepdims=True) / mask.sum(axis=1)[:, None, None, None, None]
            x = jnp.where(valid, x - mean, 0)
        see = {"convolutions": self._convolutions, "cosines": self._cosines}[self.front_end]
        x = see(x, mask, train, keys)
        for i in range(2):
            x = BidirectionalGRU(self.features, self.dtype, name=f"gru{i}")(x, mask)
            x = self._drop(x, 3 + i, train, keys)
        letters = nn.Dense(self.steps_per_frame * self.labels, dtype=self.dtype, name="letters")(x)
        return letters.reshape(batch, -1, self.labels).astype(full_precision(self.dtype))

    def _convolutions(
        self, x: jax.Array, mask: jax.Array, train: bool, keys: jax.Array | None
    ) -> jax.Array:
        """LipNet's features of frames, [B, T, N]."""
        batch, time = mask.shape
        valid, flat = mask[:, :, None, None, None], mask.reshape(-1)
        for i, (width, size) in enumerate(zip(self.widths, (5, 5, 3), strict=True)):
            x = TimeConv(width, size, 1 if i else 2, self.dtype, name=f"conv{i}")(x)
            x = x.reshape(batch * time, *x.shape[2:])
            x = nn.relu(BatchNorm(self.dtype, name=f"norm{i}")(x, train, flat))
            x = nn.max_pool(x, (2, 2), (2, 2))
            x = x.reshape(batch, time, *x.shape[1:])
            # The next convolution reaches from a clip's last frame into its padding.
            x = jnp.where(valid, self._drop(x, i, train, keys), 0)
        return x.reshape(batch, time, -1)

    def _cosines(
        self, x: jax.Array, mask: jax.Array, train: bool, keys: jax.Array | None
    ) -> jax.Array:
        """The low frequencies of frames, over 5 of them, [B, T, widths[-1]]."""
        valid = mask[:, :, None]
        code = low_frequencies(x.mean(axis=-1), _FREQUENCIES)
        flat = code.reshape(mask.size, -1)
        code = BatchNorm(self.dtype, name="norm0")(flat, train, mask.reshape(-1))
        code = self._add_noise(code.reshape(*mask.shape, -1), train, keys)
        code = jnp.where(valid, code, 0)
        x = nn.relu(nn.Conv(self.widths[-1], (5,), dtype=self.dtype, name="conv0")(code))
        return jnp.where(valid, self._drop(x, 1, train, keys), 0)

    def _add_noise(self, x: jax.Array, train: bool, keys: jax.Array | None) -> jax.Array:
        if not train or not self.noise or keys is None:
            return x

        def clip_noise(key: jax.Array) -> jax.Array:
            return jax.random.normal(jax.random.fold_in(key, _NOISE), x.shape[1:], x.dtype)

        return x + self.noise * jax.vmap(clip_noise)(keys)

    def _drop(self, x: jax.Array, place: int, train: bool, keys: jax.Array | None) -> jax.Array:
        """X [B, T, ..., C] with some channels of each clip 0 throughout, the others larger."""
        if not train or not self.dropout or keys is None:
            return x
        keep = jnp.float32(1 - self.dropout)

        def clip_mask(key: jax.Array) -> jax.Array:
            return jax.random.bernoulli(jax.random.fold_in(key, place), keep, x.shape[-1:])

        kept = jax.vmap(clip_mask)(keys) / keep.astype(x.dtype)
        return x * kept.reshape(-1, *(1,) * (x.ndim - 2), x.shape[-1])
