"""The demo's networks, trained on until the face blinks by itself: half an hour on two CPU cores.

    python -m s2f_jax.main --config=configs/demo_blinks.py --start_from=runs/demo

The discriminators weigh more beside L1 than in the demo, where a blink at a time of its own costs more
than it brings, and the noise is stronger. PSNR falls with that, so that the last checkpoint is the one
to look at, not the best.
"""

from typing import Any

from configs import demo


def get_config(preset: str = "cvprw2019") -> Any:
    c = demo.get_config(preset)
    c.name = "demo_blinks"
    c.model.noise_std = 1.0
    c.loss.adversarial_from = 0
    c.loss.reconstruction = 100.0
    c.loss.frame = 1.0
    c.loss.sequence = 1.0
    c.optim.generator_rate = 3e-4
    c.optim.sequence_rate = 2e-4
    c.optim.decay_after = 6
    c.optim.decay = 0.7
    c.max_epochs = 12
    c.patience = c.max_epochs
    return c
