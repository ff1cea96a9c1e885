"""What the training step asks of a discriminator; a new one derives from `Discriminator`."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax import rngs
from s2f_jax.models.clip_batch import ClipBatch
from s2f_jax.models.generator import Generator

Sample = Any  # What a discriminator draws for a batch, a pytree of arrays.


class Discriminator(nn.Module):
    """A network that tells real clips from generated ones.

    A subclass has linen fields, `inputs` and a `__call__` that takes these inputs and `train` and
    returns logits [B * n], high for real. The step (step.py) trains it on the logits of real and
    generated inputs, and the generator on those of generated ones.
    """

    @classmethod
    def from_config(cls, section: Mapping[str, Any], generator: Generator) -> Self:
        """Builds it from its section of the config: each of its fields by that name.

        Args:
          section: `config.discriminators.<name>`.
          generator: The network it is to judge, whose rates, stride, window and dtype it shares.

        Returns:
          The discriminator.
        """
        names = {field.name for field in dataclasses.fields(cls)} - {"parent", "name"}  # linen's.
        shared = names & {"audio_rate", "stride", "window", "dtype"}
        values = {name: getattr(generator, name) for name in shared}
        for name in names - shared:
            value = section[name]
            values[name] = tuple(value) if isinstance(value, list) else value  # As JSON has it.
        return cls(**values)

    def sample(self, key: jax.Array, clips: ClipBatch) -> Sample:
        """Draws which parts of the clips it sees in one step; nothing, unless overridden.

        Args:
          key: Random key of the step.
          clips: The batch; the draws of an example depend on its `example_index` alone.

        Returns:
          The sample that `inputs` and `mismatched_inputs` take.
        """
        return ()

    def inputs(self, frames: jax.Array, clips: ClipBatch, sample: Sample) -> tuple[jax.Array, ...]:
        """Selects what it sees of real or of generated frames.

        Args:
          frames: [B, T, H, W, 3] in [-1, 1], either the clips' own or generated ones.
          clips: The batch, for stills, audio and mask.
          sample: The result of `sample`.

        Returns:
          The arguments of `__call__`.
        """
        raise NotImplementedError

    def mismatched_inputs(self, clips: ClipBatch, sample: Sample) -> tuple[jax.Array, ...] | None:
        """Selects real frames with what does not belong to them, a second kind of fakes.

        Args:
          clips: The batch.
          sample: The result of `sample`.

        Returns:
          The arguments of `__call__`; None, unless overridden: there is no such kind.
        """
        return None

    def probes(self, clips: ClipBatch, sample: Sample) -> dict[str, tuple[jax.Array, ...]]:
        """Makes real clips that are wrong in one way: how far their logits lie below real ones'.

        Each validation logs it: what a discriminator does not see, it cannot teach.

        Args:
          clips: The batch.
          sample: The result of `sample`.

        Returns:
          The arguments of `__call__` by what is wrong; none, unless overridden.
        """
        return {}


def uniform_per_example(
    key: jax.Array, name: str, example_index: jax.Array, *shape: int
) -> jax.Array:
    """Draws numbers for each example, whichever row of whichever process it is in.

    Args:
      key: Random key of the step.
      name: Name of the quantity drawn; each name has numbers of its own.
      example_index: uint32 [B].
      *shape: Shape of one example's numbers.

    Returns:
      Uniform in [0, 1), [B, *shape].
    """
    keys = rngs.per_example_keys(key, name, example_index)
    return jax.vmap(lambda each: jax.random.uniform(each, shape, jnp.float32))(keys)
