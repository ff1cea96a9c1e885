"""Sequence discriminator (paper 2.2.2): is the motion realistic, and in sync with the audio?"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from typing_extensions import override

from s2f_jax.models import sequence_negatives
from s2f_jax.models.clip_batch import ClipBatch
from s2f_jax.models.context_encoder import AudioFrameEncoder, audio_windows
from s2f_jax.models.discriminator import Discriminator, Sample
from s2f_jax.models.layers import (
    GRU,
    Dtype,
    ImageEncoder,
    conv_init,
    full_precision,
    run_side_by_side,
)


class SequenceDiscriminator(Discriminator):
    """A CNN and a 2-layer GRU each for frames and audio, then a 2-layer classifier.

    Attributes:
      audio_rate: Sampling rate in Hz; a multiple of 1000.
      stride: Samples per video frame.
      window: Samples of one audio frame.
      features: Size of the codes and of the GRUs.
      width: Feature maps of the first image layer; they double with each halving.
      audio_width: Feature maps of the first audio layer; they double likewise.
      fusion: "last": the last states of two GRUs side by side (as the paper's Fig. 3b reads); "step":
        one GRU over both codes of each time step.
      audio: Whether the audio is an input; False is an ablation.
      differences: Whether each frame comes with its difference to the frame before, channel-wise;
        not in the paper.
      negatives: Kinds of wrong real clips, sequence_negatives.NEGATIVES, as a second kind of fakes;
        not in the paper.
      norm: One of layers.NORMS.
      dtype: Dtype of the computation; parameters stay float32.
    """

    audio_rate: int
    stride: int
    window: int
    features: int = 256
    width: int = 64
    audio_width: int = 16
    fusion: str = "last"
    audio: bool = True
    differences: bool = False
    negatives: tuple[str, ...] = ()
    norm: str = "batch"
    dtype: Dtype = jnp.float32

    @override
    def sample(self, key: jax.Array, clips: ClipBatch) -> sequence_negatives.NegativeSample:
        """Draws in which way each clip is made wrong."""
        return sequence_negatives.sample(key, clips, max(len(self._audible(self.negatives)), 1))

    @override
    def mismatched_inputs(self, clips: ClipBatch, sample: Sample) -> tuple[jax.Array, ...] | None:
        """Real clips, each wrong in one of the ways of `negatives`."""
        kinds = self._audible(self.negatives)
        if not kinds:
            return None
        return *sequence_negatives.drawn_negatives(kinds, clips, sample), clips.mask

    @override
    def probes(self, clips: ClipBatch, sample: Sample) -> dict[str, tuple[jax.Array, ...]]:
        """Real clips, wrong in each of the ways there are."""
        kinds = self._audible(sequence_negatives.NEGATIVES)
        return {
            kind: (*sequence_negatives.negative(kind, clips, sample), clips.mask) for kind in kinds
        }

    def _audible(self, kinds: tuple[str, ...]) -> tuple[str, ...]:
        """Without audio, real clips with another sound are real clips."""
        return kinds if self.audio else tuple(kind for kind in kinds if kind != "other_sound")

    @override
    def inputs(self, frames: jax.Array, clips: ClipBatch, sample: Sample) -> tuple[jax.Array, ...]:
        """All frames, all audio, and the mask."""
        return frames, clips.audio, clips.mask

    @nn.compact
    def __call__(
        self, frames: jax.Array, audio: jax.Array, mask: jax.Array, train: bool
    ) -> jax.Array:
        """Judges whole clips.

        Args:
          frames: [B, T, H, W, 3] in [-1, 1].
          audio: [B, T * stride + window - stride] in [-1, 1].
          mask: bool [B, T]; the last states are those of each clip's last real frame.
          train: Whether BatchNorm uses the batch's statistics.

        Returns:
          Logits [B].

        Raises:
          ValueError: `fusion` is neither "last" nor "step".
        """
        batch, time = mask.shape
        flat = mask.reshape(-1)
        if self.differences:
            before = jnp.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
            frames = jnp.concatenate([frames, frames - before], axis=-1)
        options = False, 0.2, self.dtype, self.norm
        image_cnn = ImageEncoder(self.features, self.width, *options, name="image")
        image, _ = image_cnn(frames.reshape(batch * time, *frames.shape[2:]), train, flat)
        codes = {"image": image.reshape(batch, time, -1)}
        if self.audio:
            codes["audio"] = self._sound(audio, train, flat).reshape(batch, time, -1)
        if self.fusion == "step":
            codes = {"both": jnp.concatenate(list(codes.values()), axis=-1)}
        elif self.fusion != "last":
            raise ValueError(f"fusion={self.fusion!r} is neither 'last' nor 'step'")
        last_frame = mask.sum(axis=1) - 1
        grus = [GRU(self.features, dtype=self.dtype, name=f"{name}_gru") for name in codes]
        states = run_side_by_side(grus, list(codes.values()))
        x = jnp.concatenate([s[jnp.arange(batch), last_frame] for s in states], axis=-1)
        x = nn.Dense(256, kernel_init=conv_init, dtype=self.dtype, name="hidden")(x)
        x = nn.leaky_relu(x, 0.2)
        logit = nn.Dense(1, kernel_init=conv_init, dtype=self.dtype, name="logit")(x)
        return logit[:, 0].astype(full_precision(self.dtype))

    def _sound(self, audio: jax.Array, train: bool, mask: jax.Array) -> jax.Array:
        """Audio as in __call__, mask [B * T] -> codes [B * T, features]."""
        sizes = self.audio_rate, self.features, self.audio_width
        audio_cnn = AudioFrameEncoder(*sizes, False, 0.2, self.dtype, self.norm, name="audio")
        windows = audio_windows(audio, self.stride, self.window)
        return audio_cnn(windows.reshape(-1, self.window), train, mask)
