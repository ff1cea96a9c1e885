"""The sequence discriminator runs one GRU over the codes of both at every time step."""

from configs import ablations

get_config = ablations.changing("sequence_per_step", {"discriminators.sequence.fusion": "step"})
