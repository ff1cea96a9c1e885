"""Context encoder (paper 2.1.2): overlapping audio frames to z_c."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from s2f_jax.models.layers import GRU, BatchNorm, Conv, Dtype, bare_init, conv_init


def audio_windows(audio: jax.Array, stride: int, window: int) -> jax.Array:
    """audio [B, T * stride + window - stride] -> one window a video frame, [B, T, window].

    The sound is padded already: window i is centred on video frame i of the unpadded sound.
    """
    frames = (audio.shape[1] - window) // stride + 1
    return audio[:, np.add.outer(stride * np.arange(frames), np.arange(window))]


def prime_factors(n: int) -> list[int]:
    """Ascending, with multiplicity: 200 -> [2, 2, 2, 5, 5]."""
    factors, divisor = [], 2
    while n > 1:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1
    return factors


def audio_layers(audio_rate: int, window: int) -> tuple[list[tuple[int, int, int]], int]:
    """Kernel, stride and padding of each layer of an audio-frame CNN, the closing one's kernel.

    A 5 ms kernel each 1 ms; then the prime factors of the number of 1 ms steps are the strides, and
    the last one is the closing convolution's kernel. audio_rate is a multiple of 1000 Hz.
    """
    step = audio_rate // 1000
    *strides, rest = prime_factors(window // step)
    return [(5 * step, step, 2 * step), *((2 * s, s, (s + 1) // 2) for s in strides)], rest


class AudioFrameEncoder(nn.Module):
    """One audio frame to a code: `audio_layers`."""

    audio_rate: int  # Hz; a multiple of 1000.
    features: int = 256
    width: int = 16  # Maps of the first layer; they double at each.
    norm_first: bool = True
    slope: float = 0.0  # Of the leaky ReLU for negative values; 0 is ReLU.
    dtype: Dtype = jnp.float32
    bare: bool = False  # No BatchNorm at all.

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """x [N, window] in [-1, 1], mask [N] -> [N, features]."""
        if self.audio_rate % 1000:
            raise ValueError(
                f"audio_rate={self.audio_rate} has no whole number of samples a millisecond;"
                " resample to 16000, 25000, 48000 or 50000"
            )
        layers, rest = audio_layers(self.audio_rate, x.shape[1])
        init = bare_init if self.bare else conv_init
        layer = partial(Conv, use_bias=True, dtype=self.dtype, kernel_init=init)
        x = x[..., None]
        for i, (kernel, stride, padding) in enumerate(layers):
            x = layer(self.width * 2**i, (kernel,), stride, padding, name=f"conv{i}")(x)
            if not self.bare and (i or self.norm_first):
                x = BatchNorm(self.dtype, name=f"norm{i}")(x, train, mask)
            x = nn.leaky_relu(x, self.slope)
        x = layer(self.features, (rest,), name="code")(x)
        return x.reshape(x.shape[0], self.features)


class ContextEncoder(nn.Module):
    """Audio-frame CNN, tanh, 2-layer causal GRU; without it, the static baseline's (paper 3.3)."""

    audio_rate: int
    features: int = 256
    width: int = 16
    recurrent: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        windows: jax.Array,
        carry: tuple[jax.Array, ...],
        train: bool,
        mask: jax.Array | None = None,
    ) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """windows [B, T, window], carry, mask [B * T] -> new carry, z_c [B, T, features]."""
        batch, frames, _ = windows.shape
        cnn = AudioFrameEncoder(
            self.audio_rate, self.features, self.width, dtype=self.dtype, name="cnn"
        )
        codes = jnp.tanh(cnn(windows.reshape(batch * frames, -1), train, mask))
        codes = codes.reshape(batch, frames, -1)
        if not self.recurrent:
            return carry, codes
        return GRU(self.features, dtype=self.dtype, name="gru")(codes, carry)
