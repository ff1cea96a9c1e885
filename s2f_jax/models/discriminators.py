"""The discriminators there are: a new one is a module of this folder and a line here.

Its name is that of its section, `config.discriminators.<name>`; its parameters, optimizer and logged
terms are called <name>_discriminator.
"""

from s2f_jax.models.discriminator import Discriminator
from s2f_jax.models.frame_discriminator import FrameDiscriminator
from s2f_jax.models.sequence_discriminator import SequenceDiscriminator
from s2f_jax.models.sync_discriminator import SyncDiscriminator

DISCRIMINATORS: dict[str, type[Discriminator]] = {
    "frame": FrameDiscriminator,
    "sequence": SequenceDiscriminator,
    "sync": SyncDiscriminator,
}
SUFFIX = "_discriminator"


def network_name(name: str) -> str:
    """Names the network of the section `config.discriminators.<name>`.

    Args:
      name: A key of DISCRIMINATORS.

    Returns:
      E.g. "frame_discriminator".
    """
    return name + SUFFIX
