"""No noise: what the face does is told by still and sound alone."""

from configs import ablations

get_config = ablations.changing("no_noise", {"model.noise_features": 0})
