"""Context encoder (paper 2.1.2): overlapping audio frames to z_c."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from s2f_jax.models.layers import (
    GRU,
    BatchNorm,
    Conv,
    Dtype,
    bare_init,
    conv_init,
    normalized_conv,
)


def audio_windows(audio: jax.Array, stride: int, window: int) -> jax.Array:
    """Cuts one window of audio for each video frame.

    Args:
      audio: [B, T * stride + window - stride]; it is padded already, so that window i is centered on
        video frame i of the unpadded audio.
      stride: Samples per video frame.
      window: Number of samples of a window.

    Returns:
      [B, T, window].
    """
    frames = (audio.shape[1] - window) // stride + 1
    return audio[:, np.add.outer(stride * np.arange(frames), np.arange(window))]


def prime_factors(n: int) -> list[int]:
    """Factors a number.

    Args:
      n: An integer, at least 1.

    Returns:
      The prime factors, ascending, with multiplicity: 200 -> [2, 2, 2, 5, 5].
    """
    factors, divisor = [], 2
    while n > 1:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1
    return factors


def audio_layers(audio_rate: int, window: int) -> tuple[list[tuple[int, int, int]], int]:
    """Derives the layers of an audio-frame CNN from its rate and window.

    A 5 ms kernel each 1 ms; then the prime factors of the number of 1 ms steps are the strides, and
    the last one is the closing convolution's kernel.

    Args:
      audio_rate: Sampling rate in Hz; a multiple of 1000.
      window: Number of samples of a window.

    Returns:
      (kernel, stride, padding) of each layer, and the closing one's kernel.
    """
    step = audio_rate // 1000
    *strides, rest = prime_factors(window // step)
    return [(5 * step, step, 2 * step), *((2 * s, s, (s + 1) // 2) for s in strides)], rest


class AudioFrameEncoder(nn.Module):
    """A CNN from one audio frame to a code; `audio_layers` has its layers.

    Attributes:
      audio_rate: Sampling rate in Hz; a multiple of 1000.
      features: Size of the code.
      width: Feature maps of the first layer; they double at each.
      norm_first: Whether there is BatchNorm after the first layer.
      slope: Slope of the leaky ReLU for negative values; 0 is ReLU.
      dtype: Dtype of the computation; parameters stay float32.
      norm: One of layers.NORMS.
    """

    audio_rate: int
    features: int = 256
    width: int = 16
    norm_first: bool = True
    slope: float = 0.0
    dtype: Dtype = jnp.float32
    norm: str = "batch"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Encodes audio frames.

        Args:
          x: [N, window] in [-1, 1].
          train: Whether BatchNorm uses the batch's statistics.
          mask: bool [N]; False where there is padding.

        Returns:
          [N, features].

        Raises:
          ValueError: The rate is not a multiple of 1000 Hz.
        """
        if self.audio_rate % 1000:
            raise ValueError(
                f"audio_rate={self.audio_rate} has no whole number of samples a millisecond;"
                " resample to 16000, 25000, 48000 or 50000"
            )
        layers, rest = audio_layers(self.audio_rate, x.shape[1])
        batch_norm = self.norm == "batch"
        init = conv_init if batch_norm else bare_init
        layer = partial(Conv, use_bias=True, dtype=self.dtype, kernel_init=init)
        x = x[..., None]
        for i, (kernel, stride, padding) in enumerate(layers):
            conv = layer(self.width * 2**i, (kernel,), stride, padding, name=f"conv{i}")
            x = normalized_conv(conv, x, self.norm, train)
            if batch_norm and (i or self.norm_first):
                x = BatchNorm(self.dtype, name=f"norm{i}")(x, train, mask)
            x = nn.leaky_relu(x, self.slope)
        x = normalized_conv(layer(self.features, (rest,), name="code"), x, self.norm, train)
        return x.reshape(x.shape[0], self.features)


class ContextEncoder(nn.Module):
    """Audio-frame CNN, tanh, 2-layer causal GRU.

    Attributes:
      audio_rate: Sampling rate in Hz; a multiple of 1000.
      features: Size of z_c, and of the audio-frame code before the GRU.
      width: Feature maps of the first audio layer; they double at each.
      recurrent: False: no GRU, as in the static baseline (paper 3.3).
      dtype: Dtype of the computation; parameters stay float32.
    """

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
        """Encodes a piece of a sequence of audio frames.

        Args:
          windows: [B, T, window] in [-1, 1].
          carry: State of the GRU; empty without one.
          train: Whether BatchNorm uses the batch's statistics.
          mask: bool [B * T]; False where there is padding.

        Returns:
          The new carry, and z_c [B, T, features].
        """
        batch, frames, _ = windows.shape
        sizes = self.audio_rate, self.features, self.width
        cnn = AudioFrameEncoder(*sizes, dtype=self.dtype, name="cnn")
        codes = jnp.tanh(cnn(windows.reshape(batch * frames, -1), train, mask))
        codes = codes.reshape(batch, frames, -1)
        if not self.recurrent:
            return carry, codes
        return GRU(self.features, dtype=self.dtype, name="gru")(codes, carry)
