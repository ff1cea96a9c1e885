"""The static method that the paper compares itself with (3.3).

Each frame from its own window of sound, with L1 and the frame discriminator: no GRU over the sound, no
sequence discriminator. Nor noise, which runs through a GRU: it would move the frames at random.
"""

from configs import ablations

get_config = ablations.changing(
    "static_baseline",
    {"model.recurrent": False, "model.noise_features": 0, "discriminators.sequence.weight": 0.0},
)
