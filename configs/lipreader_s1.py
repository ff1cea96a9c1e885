"""A small lip reader on GRID's speaker 1: the one whose word error rate the tables of grid_s1 print.

python -m s2f_jax.main --config=configs/lipreader_s1.py
python -m s2f_jax.main evaluate --config=configs/lipreader_s1.py
The shards are those of configs/grid_s1.py (`make real` makes them); it reads the training sentences only.

Tried, word error rates of the 20 validation sentences after 17,000 to 24,000 examples:
- CTC alone, a letter a frame (batches of 8, rate 2e-3): 0.88 at best, then 0.97: the commonest letters, whatever
  the mouth does. This speaker says 26 letters in 31 frames, which leaves CTC hardly a blank.
- Two letters a frame, each clip's mean frame taken out, batches of 16, a cross-entropy with the letters
  where the corpus says they are said: 0.29, greedily.
- On 40 principal components of the same mouths, batches of 32, 600 steps: 0.23 with the cross-entropy, 0.38
  without.
- LipNet's convolutions take 19 minutes of one core, the front end "cosines" five, and read alike: two seeds of
  either 0.21, 0.21 and 0.21, 0.19 on the 40 test sentences, with the beam. With the colours' difference as well,
  or 6 or 10 frequencies in place of 8, it is no better.
- The frequencies of "cosines" alone, batches of 32, greedily, validation and test together: 0.18 under noise, 0.16
  with half of the examples spliced as well, after 1,000 steps; wider layers 0.18. Here, with the beam, noise and
  splicing and without mirrored sentences: 0.18 on the test sentences. Whole frequencies dropped, as channels are,
  cost twice the steps; without jitter and shifts it is worse.
- LipNet's language model in the beam, with weight and bonus 1 as they came: 0.146 in place of 0.183 on the test
  sentences, 0.217 in place of 0.233 on the validation ones.
"""

from typing import Any

from configs import grid_s1, lipreader_demo


def get_config(preset: str = "cvprw2019") -> Any:
    c = lipreader_demo.reading(grid_s1.get_config(preset))
    c.name = "lipreader_s1"
    c.lipreader.dropout = 0.3
    c.lipreader.alignment = 0.1
    c.lipreader.noise = 0.3
    c.lipreader.splice = 0.5
    c.lipreader.language_order = 5  # LipNet's.
    c.batch_size = 32
    c.mirror = False  # Nor is what it is to read.
    c.optim.decay_after = 50
    c.optim.decay = 0.92
    c.max_epochs = 100
    c.patience = 100
    return c
