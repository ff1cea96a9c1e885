"""The sequence discriminator sees the frames and does not hear the sound."""

from configs import ablations

get_config = ablations.changing("sequence_without_sound", {"discriminators.sequence.audio": False})
