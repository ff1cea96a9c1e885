"""Generation in pieces: audio in as it arrives, frames out as soon as their window is complete."""

import functools
import threading
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data_pipelines.common.errors import UserError
from data_pipelines.loading.training_examples import audio_margins
from data_pipelines.media.sound import OffsetRemover, Resampler, to_mono_float
from s2f_jax import rngs
from s2f_jax.models import fused_generator
from s2f_jax.models.generator import Carry, Generator, IdentityFeatures
from s2f_jax.models.pixels import from_uint8, to_uint8

CHUNK_FRAMES = 25  # Frames per call where so many are due: bounds memory, compiles one shape.


class CompiledGenerator:
    """A fused generator whose functions are jitted once for all sessions.

    Args:
      generator: The module, whose dtype is that of the computation.
      weights: The result of `fused_generator.fuse_weights`.
    """

    def __init__(self, generator: Generator, weights: fused_generator.Weights):
        self.generator = generator
        self.weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, generator.dtype), weights)
        self._packed: dict[int, fused_generator.Weights] = {}
        self._packing = threading.Lock()
        self._encode = jax.jit(fused_generator.encode_identity)
        self._animate = jax.jit(self._animate_with_noise, static_argnames="raw")

    def encode_identity(self, stills: np.ndarray) -> IdentityFeatures:
        """Encodes stills once for all of their frames.

        Args:
          stills: uint8 [B, H, W, 3].

        Returns:
          The stills' codes and skip terms.
        """
        return self._encode(self.weights, from_uint8(stills))

    def packed_weights(self, frames: int) -> fused_generator.Weights:
        """Returns the weights packed for a number of frames per call; cached and thread-safe.

        Packing takes about a second the first time, so that a caller may do it ahead in a thread.

        Args:
          frames: Frames per call.

        Returns:
          The packed weights; those unpacked where the backend is not the CPU.
        """
        if jax.default_backend() != "cpu":
            return self.weights
        with self._packing:
            if frames not in self._packed:
                packed = fused_generator.pack_kernels(self.generator, self.weights, frames)
                self._packed[frames] = packed
            return self._packed[frames]

    def animate(
        self,
        identity: IdentityFeatures,
        noise_keys: jax.Array,
        noise_std: float,
        raw: bool,
        windows: np.ndarray,
        first_frame: int,
        carry: Carry,
    ) -> tuple[Carry, np.ndarray]:
        """Generates the next frames of each clip.

        Args:
          identity: The result of `encode_identity`.
          noise_keys: [B], the root key of each clip's noise.
          noise_std: Standard deviation of the noise.
          raw: Whether frames stay float32 in [-1, 1].
          windows: float32 [B, T, window] in [-1, 1].
          first_frame: The index of the first of these frames, from which its noise is made.
          carry: The GRU states after the frames before these.

        Returns:
          The new carry and the frames [B, T, H, W, 3], uint8 unless `raw`.
        """
        weights = self.packed_weights(windows.shape[1])
        carry, frames = self._animate(
            weights, identity, windows, noise_keys, first_frame, noise_std, carry, raw=raw
        )
        return carry, np.asarray(frames)

    def _animate_with_noise(
        self, weights, identity, windows, noise_keys, first_frame, noise_std, carry, raw
    ):
        g, count = self.generator, windows.shape[1]
        noise = jax.vmap(
            lambda key: rngs.frame_noise(key, count, g.noise_features, noise_std, first_frame)
        )(noise_keys)
        carry, frames = fused_generator.animate(g, weights, identity, windows, noise, carry)
        return carry, frames if raw else to_uint8(frames)


class GenerationSession:
    """A batch of clips in the making, whose audio arrives in pieces of any size.

    Frame t is generated once its audio window is complete. The state between two pieces is the two
    GRU states, the index of the next frame, and the audio from the start of that frame's window on.

    Attributes:
      generator: The module.
      look_ahead: Seconds of audio after its own that a frame waits for.

    Args:
      compiled: The generator.
      stills: uint8 [B, H, W, 3].
      seeds: One per clip, in [0, 2^32).
      noise_std: Standard deviation of the noise; None for the model's.
      raw: Whether frames stay float32 in [-1, 1].
      chunk_sizes: Frames per call that are allowed, descending.

    Raises:
      UserError: A seed is out of range.
    """

    def __init__(
        self,
        compiled: CompiledGenerator,
        stills: np.ndarray,
        seeds: Sequence[int],
        noise_std: float | None = None,
        raw: bool = False,
        chunk_sizes: Sequence[int] = (CHUNK_FRAMES,),
    ):
        rngs.check_seeds(*seeds)
        self.generator = g = compiled.generator
        self._chunk_sizes = chunk_sizes
        self._animate = functools.partial(
            compiled.animate,
            compiled.encode_identity(stills),
            jnp.stack([rngs.key(jax.random.key(seed), "noise") for seed in seeds]),
            g.noise_std if noise_std is None else noise_std,
            raw,
        )
        self._carry = g.initial_carry(len(stills))
        dtype = np.float32 if raw else np.uint8
        self._no_frames = np.zeros((len(stills), 0, *stills.shape[1:]), dtype)
        left, right = audio_margins(g.window, g.stride)
        self._samples = np.zeros((len(stills), left), np.float32)  # Silence before the audio.
        self._remove_offset = OffsetRemover(g.audio_rate, g.window - left)  # Of the first frame.
        self._samples_pushed = self._next_frame = 0
        self.look_ahead = right / g.audio_rate

    def warm_up(self) -> None:
        """Compiles the call for the smallest chunk, so that the first frame is not late."""
        shape = len(self._samples), self._chunk_sizes[-1], self.generator.window
        self._animate(np.zeros(shape, np.float32), 0, self._carry)

    def push(self, audios: np.ndarray) -> np.ndarray:
        """Adds audio and generates the frames whose windows are complete.

        Args:
          audios: float32 [B, n] in [-1, 1] at the model's rate, n >= 0.

        Returns:
          [B, k, H, W, 3], k >= 0; uint8, or float32 in [-1, 1] in a raw session.
        """
        self._samples_pushed += audios.shape[1]
        self._samples = np.concatenate([self._samples, self._remove_offset(audios)], axis=1)
        g = self.generator
        # A frame is due once every sample of its window has arrived. _samples begins with the next
        # frame's window; each further frame's begins `stride` samples later.
        return self._generate((self._samples.shape[1] - g.window) // g.stride + 1, last=False)

    def flush(self) -> np.ndarray:
        """Generates the remaining frames, with silence after the audio.

        Returns:
          [B, k, H, W, 3], k >= 0; uint8, or float32 in [-1, 1] in a raw session.
        """
        g = self.generator
        rest = self._remove_offset(np.zeros((len(self._samples), 0), np.float32), last=True)
        self._samples = np.concatenate([self._samples, rest], axis=1)
        left = -(-self._samples_pushed // g.stride) - self._next_frame
        # A chunk may be larger than what is left; its surplus frames are dropped.
        needed = (left + max(self._chunk_sizes)) * g.stride + g.window
        missing = max(needed - self._samples.shape[1], 0)
        self._samples = np.pad(self._samples, ((0, 0), (0, missing)))
        return self._generate(left, last=True)

    def _generate(self, frames: int, last: bool) -> np.ndarray:
        g, chunks = self.generator, [self._no_frames]
        while frames > 0:
            size = next((size for size in self._chunk_sizes if size <= frames), None)
            if size is None and not last:
                break  # Fewer frames are due than any chunk has: they wait for more audio.
            size = size or self._chunk_sizes[-1]
            windows = sliding_window_view(self._samples, g.window, axis=1)
            self._carry, chunk = self._animate(
                windows[:, : size * g.stride : g.stride], self._next_frame, self._carry
            )
            self._samples = self._samples[:, size * g.stride :]
            self._next_frame += size
            chunks.append(chunk[:, :frames])
            frames -= size
        return np.concatenate(chunks, axis=1)


def to_mono_samples(samples: np.ndarray) -> np.ndarray:
    """Checks samples that a caller passed, and converts them to float32.

    Args:
      samples: Mono float in [-1, 1] or int16, [S], S >= 0.

    Returns:
      float32 [S] in [-1, 1].

    Raises:
      UserError: The shape or type is another, or a sample is not finite.
    """
    is_float = np.issubdtype(samples.dtype, np.floating)
    if samples.ndim != 1 or not (is_float or samples.dtype == np.int16):
        raise UserError(
            f"the audio is {samples.dtype} {list(samples.shape)}: give mono float32 or int16 [S]"
        )
    if not np.isfinite(samples).all():
        index = int(np.argmin(np.isfinite(samples)))
        raise UserError(f"sample {index} of the audio is {samples[index]}: give finite samples")
    return to_mono_float(samples)


class Stream:
    """One clip whose audio arrives in pieces; its frames are those of the offline call.

    Attributes:
      look_ahead: Seconds of audio after its own that a frame waits for.

    Args:
      session: A session of one clip.
      rate: Sampling rate in Hz of the audio that is pushed. Where it is not the model's, the
        resampler delays frames by another 20 to 130 ms.
    """

    def __init__(self, session: GenerationSession, rate: int):
        self._session = session
        self._resample = Resampler(rate, session.generator.audio_rate)
        self._flushed, self.look_ahead = False, session.look_ahead

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Adds audio and generates the frames that are due.

        Args:
          samples: Mono float32 [S] in [-1, 1] or int16, S >= 0.

        Returns:
          uint8 [k, H, W, 3], k >= 0.

        Raises:
          UserError: The samples are of another shape or type or not finite, or the stream was
            flushed.
        """
        self._check_open()
        audio = self._resample(to_mono_samples(np.asarray(samples)))
        return self._session.push(audio[None])[0]

    def flush(self) -> np.ndarray:
        """Ends the stream and generates the remaining frames.

        Returns:
          uint8 [k, H, W, 3], k >= 0.

        Raises:
          UserError: The stream was flushed before.
        """
        self._check_open()
        self._flushed = True
        audio = self._resample(np.zeros(0, np.float32), last=True)
        frames = [self._session.push(audio[None]), self._session.flush()]
        return np.concatenate(frames, axis=1)[0]

    def _check_open(self) -> None:
        if self._flushed:
            raise UserError("the stream was flushed and has ended: open another one")
