"""GRID's speaker 1: one real person at 64x48, on two CPU cores.

    make real [GRID=FOLDER]

or, step by step (without --manual_dir, `prepare` downloads what it needs of GRID, 0.4 GB):

    s2f prepare --config=grid_s1 [--manual_dir=FOLDER]
    s2f --config=grid_s1
    s2f evaluate --config=grid_s1

330 sentences to train on, 20 to validate and 40 to test, by a list in the repository, so that figures
compare. Preset "full" (--config=grid_s1:full): 128x96 and the paper's widths, for a GPU; not run yet.

The recipe, and what each part brought (validation or test sentences, two shared cores of an AMD EPYC):

- Whole sentences with 12 frames each while L1 is alone, batches of 4: mouth correlation 0.78 on the test
  sentences, mouth box 4.7 dB above the frozen still after 2,000 steps, without discriminators. Windows of
  a second, batches of 8: 0.69 and 3.3 to 3.8 dB after as many minutes.
- Sound louder or softer by 6 dB, with noise, shifted by up to 15 ms: part of the above.
- A longer window of sound (0.32 s) did not pay: 0.70 after 800 steps, as 0.16 s.
- The lower half in L1, as in the paper: the upper one is the discriminators'. On the whole face, L1 holds
  the eyes still.
- Negatives and differences of frames for the sequence discriminator: after 500 steps with all networks
  real clips score 1.5 to 6 above held, shuffled and upper-held ones (0.0 without); it stays deaf.
- `loss.adversarial_limit`: without it the sequence discriminator's gradient grows to four times L1's in
  300 steps, and the mouth closes (correlation -0.06). With 0.5 the mouth's correlation wavers
  (0.50 to 0.70), eyes move 0.6 to 0.8 of the real ones' motion and the jitter is 0.6 to 1.3.
- Noise of standard deviation 2 and `loss.diversity`: without them another seed changes 0.03 levels.
"""

from typing import Any

from configs import base, demo


def get_config(preset: str = "cvprw2019") -> Any:
    c = base.get_config() if preset == "full" else demo.get_config(preset)
    c.name = "grid_s1"
    c.data.corpus = "grid"
    c.data.options.clip_list = "s1"
    c.data.dir = "runs/data"
    c.readers.lips = "runs/lipreader_s1"
    c.readers.sync = "runs/syncnet_s1"

    c.model.copy_path = True
    c.model.noise_std = 2.0
    c.augment.gain_db = 6.0
    c.augment.snr_db = (10.0, 40.0)
    c.augment.shift_ms = 15.0
    c.batch_size = 4
    c.clip_frames = 75

    c.loss.reconstruction_top = 0.5
    c.loss.reconstruction_frames = 12
    c.loss.adversarial_frames = 25
    c.loss.adversarial_limit = 0.25
    c.loss.adversarial_from = 2475  # 15 epochs.
    c.loss.diversity = 100.0
    c.discriminators.frame.weight = 2.0
    c.discriminators.frame.rate = 4e-4
    c.discriminators.frame.norm = "spectral"
    c.discriminators.frame.frames_per_clip = 4
    c.discriminators.sequence.weight = 2.0
    c.discriminators.sequence.rate = 2e-4
    c.discriminators.sequence.differences = True
    c.discriminators.sequence.negatives = ("held", "upper_held", "shuffled", "other_sound")

    c.optim.generator_rate = 5e-4
    c.optim.generator_ema = 0.99
    c.optim.decay_after = 20
    c.optim.decay = 0.75
    c.max_epochs = 30
    c.patience = 30
    c.best_by = "balance"
    return c
