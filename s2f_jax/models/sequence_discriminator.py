"""Sequence discriminator (paper 2.2.2): do these frames move like life, and with this sound?"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax.models.context_encoder import AudioFrameEncoder, audio_windows
from s2f_jax.models.layers import GRU, Dtype, ImageEncoder, conv_init


class SequenceDiscriminator(nn.Module):
    """A CNN and a 2-layer GRU each for frames and sound, then a 2-layer classifier.

    fusion 'last': the two last states side by side (as the paper's Fig. 3b reads); 'step': one GRU
    over the codes side by side at every time step.
    """

    audio_rate: int
    stride: int  # Samples a video frame.
    window: int  # Samples of one audio frame.
    features: int = 256
    width: int = 64
    audio_width: int = 16
    fusion: str = "last"
    audio: bool = True  # It hears the sound too; without, an ablation.
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, frames: jax.Array, audio: jax.Array, mask: jax.Array, train: bool
    ) -> jax.Array:
        """frames [B, T, H, W, 3], audio [B, T * stride + window - stride], mask bool [B, T]
        -> logit [B]. The last states are those of each clip's last real frame."""
        batch, time = mask.shape
        flat = mask.reshape(-1)
        image_cnn = ImageEncoder(self.features, self.width, False, 0.2, self.dtype, name="image")
        image, _ = image_cnn(frames.reshape(batch * time, *frames.shape[2:]), train, flat)
        codes = {"image": image.reshape(batch, time, -1)}
        if self.audio:
            codes["audio"] = self._sound(audio, train, flat).reshape(batch, time, -1)
        if self.fusion == "step":
            codes = {"both": jnp.concatenate(list(codes.values()), axis=-1)}
        elif self.fusion != "last":
            raise ValueError(f"fusion={self.fusion!r} is neither 'last' nor 'step'")
        last_frame = mask.sum(axis=1) - 1
        states = []
        for name, code in codes.items():
            gru = GRU(self.features, dtype=self.dtype, name=f"{name}_gru")
            _, outputs = gru(code, gru.initial_carry(batch))
            states.append(outputs[jnp.arange(batch), last_frame])
        x = nn.Dense(256, kernel_init=conv_init, dtype=self.dtype, name="hidden")(
            jnp.concatenate(states, axis=-1)
        )
        x = nn.leaky_relu(x, 0.2)
        logit = nn.Dense(1, kernel_init=conv_init, dtype=self.dtype, name="logit")(x)
        return logit[:, 0].astype(float)

    def _sound(self, audio: jax.Array, train: bool, mask: jax.Array) -> jax.Array:
        """audio as in __call__, mask [B * T] -> codes [B * T, features]."""
        audio_cnn = AudioFrameEncoder(
            self.audio_rate,
            self.features,
            self.audio_width,
            norm_first=False,
            slope=0.2,
            dtype=self.dtype,
            name="audio",
        )
        windows = audio_windows(audio, self.stride, self.window)
        return audio_cnn(windows.reshape(-1, self.window), train, mask)
