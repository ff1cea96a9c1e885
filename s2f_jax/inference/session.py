"""Sound in pieces in, frames out as soon as they are due."""

import threading
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.common.errors import UserError
from data_pipelines.loading import training_examples
from data_pipelines.media import sound
from data_pipelines.media.sound import Resampler
from s2f_jax import rngs
from s2f_jax.models import fused_generator
from s2f_jax.models.generator import Carry, Generator, IdentityFeatures
from s2f_jax.models.pixels import to_uint8
from s2f_jax.rngs import check_seeds

CHUNK = 25  # Frames drawn at once where so many are due: bounds memory, one compiled shape for all.


class CompiledGenerator:
    """The compiled generator: stills to what they contribute, windows of sound to frames.

    Raises UserError for a seed out of range.
    """

    def __init__(self, generator: Generator, weights: fused_generator.Weights):
        self.generator = generator
        dtype = generator.dtype
        self.weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), weights)
        self._arranged: dict[int, fused_generator.Weights] = {}
        self._arranging = threading.Lock()
        self._identify = jax.jit(fused_generator.encode_identity)
        self._draw = jax.jit(self._drawn, static_argnames="raw")

    def identify(self, stills: np.ndarray) -> IdentityFeatures:
        """uint8 [B, H, W, 3] -> Identity."""
        return self._identify(self.weights, stills.astype(np.float32) / 127.5 - 1)

    def arranged(self, frames: int) -> fused_generator.Weights:
        """The weights for so many frames at a time; made once, by any thread, since that takes a
        second the first time."""
        if jax.default_backend() != "cpu":
            return self.weights  # The plain forms are the right ones.
        with self._arranging:
            if frames not in self._arranged:
                self._arranged[frames] = fused_generator.pack_kernels(
                    self.generator, self.weights, frames
                )
            return self._arranged[frames]

    def draw(
        self,
        identity: IdentityFeatures,
        windows: np.ndarray,
        roots: jax.Array,
        first: int,
        noise_std: float,
        carry: Carry,
        raw: bool,
    ) -> tuple[Carry, np.ndarray]:
        """windows float32 [B, T, window], one root key a clip, the first frame's number -> carry,
        frames [B, T, H, W, 3], uint8, or float32 in [-1, 1] with raw."""
        weights = self.arranged(windows.shape[1])
        carry, frames = self._draw(
            weights, identity, windows, roots, first, noise_std, carry, raw=raw
        )
        return carry, np.asarray(frames)

    def _drawn(self, weights, identity, windows, roots, first, noise_std, carry, raw):
        g, frames = self.generator, windows.shape[1]
        noise = jax.vmap(
            lambda root: rngs.frame_noise(root, frames, g.noise_features, noise_std, first)
        )(roots)
        carry, drawn = fused_generator.animate(g, weights, identity, windows, noise, carry)
        return carry, drawn if raw else to_uint8(drawn)


class GenerationSession:
    """Stills under sounds of the model's rate that come in pieces; the state between two pieces.

    Frame t is drawn once its window of sound is there. What is kept: two GRU states, the number of
    the next frame, and the sound from the start of its window on.
    """

    def __init__(
        self,
        painter: CompiledGenerator,
        stills: np.ndarray,
        seeds: Sequence[int],
        noise_std: float | None = None,
        raw: bool = False,
        sizes: Sequence[int] = (CHUNK,),
    ):
        """stills uint8 [B, H, W, 3], a seed each; sizes: of the chunks that may be drawn, largest
        first. Raises UserError for a seed out of range."""
        check_seeds(*seeds)
        self.generator = g = painter.generator
        self._painter, self._sizes, self._raw = painter, sizes, raw
        self._std = g.noise_std if noise_std is None else noise_std
        self._roots = jnp.stack([rngs.key(jax.random.key(seed), "noise") for seed in seeds])
        self._identity = painter.identify(stills)
        self._carry = g.initial_carry(len(stills))
        self._shape = (len(stills), 0, *stills.shape[1:])
        self._sound = np.zeros(
            (len(stills), training_examples.audio_margins(g.window, g.stride)[0]), "f4"
        )
        self._heard = 0  # Samples.
        self.drawn = 0  # Frames.

    def warm_up(self) -> None:
        """Compiles what draws one frame, so that the first is not late."""
        windows = np.zeros((self._shape[0], self._sizes[-1], self.generator.window), np.float32)
        self._painter.draw(
            self._identity, windows, self._roots, 0, self._std, self._carry, self._raw
        )

    def push(self, sounds: np.ndarray) -> np.ndarray:
        """float32 [B, n] -> the frames that are due [B, k, H, W, 3], k >= 0."""
        self._heard += sounds.shape[1]
        self._sound = np.concatenate([self._sound, sounds], axis=1)
        g = self.generator
        due = (self._sound.shape[1] - g.window) // g.stride + 1
        parts = []
        while size := next((size for size in self._sizes if size <= due), 0):
            parts.append(self._draw(size))
            due -= size
        return self._together(parts)

    def flush(self) -> np.ndarray:
        """The frames that wait for sound which does not come: it is silence."""
        g = self.generator
        left = -(-self._heard // g.stride) - self.drawn
        short = left * g.stride + g.window + max(self._sizes) * g.stride - self._sound.shape[1]
        self._sound = np.pad(self._sound, ((0, 0), (0, max(short, 0))))
        parts = []
        while left > 0:
            size = next((size for size in self._sizes if size <= left), self._sizes[-1])
            parts.append(self._draw(size)[:, :left])
            left -= size
        return self._together(parts)

    def _draw(self, size: int) -> np.ndarray:
        g = self.generator
        starts = g.stride * np.arange(size)[:, None] + np.arange(g.window)
        windows = self._sound[:, starts]
        self._carry, frames = self._painter.draw(
            self._identity, windows, self._roots, self.drawn, self._std, self._carry, self._raw
        )
        self._sound = self._sound[:, size * g.stride :]
        self.drawn += size
        return frames

    def _together(self, parts: list[np.ndarray]) -> np.ndarray:
        none = np.zeros(self._shape, np.float32 if self._raw else np.uint8)
        return np.concatenate(parts, axis=1) if parts else none


def checked_samples(samples: np.ndarray) -> np.ndarray:
    """Mono float32 in [-1, 1] or int16, [S], S >= 0 -> float32 [S] in [-1, 1].

    Raises UserError for anything else.
    """
    floats = np.issubdtype(samples.dtype, np.floating)
    if samples.ndim != 1 or not (floats or samples.dtype == np.int16):
        raise UserError(
            f"the sound is {samples.dtype} {list(samples.shape)}: give mono float32 or int16 [S]"
        )
    if not np.isfinite(samples).all():
        at = int(np.argmin(np.isfinite(samples)))
        raise UserError(f"sample {at} of the sound is {samples[at]}: give finite samples")
    return sound.to_mono_float(samples)


class Stream:
    """One still under sound that comes in pieces of any size: frame for frame the offline call.

    look_ahead: seconds of sound after the middle of a frame's own that it waits for. Where the
    sound has another rate than the model's, the resampler adds its own delay, 20 to 130 ms.
    """

    def __init__(self, drawing: GenerationSession, rate: int):
        g = drawing.generator
        self._drawing = drawing
        self._resample = Resampler(rate, g.audio_rate)
        self._ended = False
        self.look_ahead = training_examples.audio_margins(g.window, g.stride)[1] / g.audio_rate

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Mono float32 [S] in [-1, 1] or int16, S >= 0 -> the frames that are due by now,
        uint8 [k, H, W, 3].

        Raises UserError for sound that is none, and after flush.
        """
        self._check_open()
        return self._drawing.push(self._resample(checked_samples(np.asarray(samples)))[None])[0]

    def flush(self) -> np.ndarray:
        """The frames that are left, uint8 [k, H, W, 3]; the stream has ended then.

        Raises UserError the second time.
        """
        self._check_open()
        self._ended = True
        rest = self._resample(np.zeros(0, np.float32), last=True)
        frames = [self._drawing.push(rest[None]), self._drawing.flush()]
        return np.concatenate(frames, axis=1)[0]

    def _check_open(self) -> None:
        if self._ended:
            raise UserError("the stream was flushed and has ended: open another one")
