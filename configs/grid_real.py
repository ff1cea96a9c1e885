"""Portraits of people whom it has never seen: real speakers of GRID at 64x48, four of them held out.

    s2f prepare --config=grid_real [--manual_dir=GRID]
    s2f --config=grid_real [--start_from=RUN, of one real speaker and the same sizes]
    s2f evaluate --config=grid_real

Preset "full" (--config=grid_real:full): 128x96, the paper's networks and windows of 3 s, for a GPU.

The list data_pipelines/grid/lists/real.tsv has speaker 1's training sentences and a clip each of seven
others to train on, speaker 1's validation sentences, and the eight clips of two women and two men to test
on. What eight people lack in variety, other colours, light, backgrounds and proportions of the face have
to give; and the seven are seen oftener than their single clips would be: 62 % of an epoch are theirs
instead of 2 %.

The recipe is grid_s1's, with L1 on the whole frame. Tried (one core of an AMD EPYC), on the eight held-out clips:

| | mouth box over the frozen still's 29.5 dB | correlation with the real mouth |
|---|---|---|
| from scratch, the demo's recipe, 491 steps of L1 (commit 2ea3c5e) | -0.3 dB | 0.26 |
| from grid_s1's networks after 2,310 steps, 1,302 more of L1 and variety (rate 6e-4, halved each epoch; commit 5aa70b2) | +0.2 dB | 0.43 |

In both there is one mouth on every face, where theirs is. On speaker 1's validation sentences the second is at
29.6 dB. So what lacks is other voices: seven sentences of seven people are not enough to learn from how
others sound.
"""

from typing import Any

from configs import grid_s1


def get_config(preset: str = "cvprw2019") -> Any:
    c = grid_s1.get_config(preset)
    c.name = "grid_real"
    c.data.options.clip_list = "real"
    c.data.dir = "runs/data_real"  # Apart from shards of other clips.
    c.readers.lips = ""
    c.readers.sync = ""
    c.loss.deep_lip_reading = 0.0
    c.loss.lip_reading = 0.0
    c.mirror = True
    c.balance_speakers = 0.75
    # With L1 on the lower half alone the rest of the frame drifts under so many looks: PSNR 22 dB after an
    # epoch.
    c.loss.reconstruction_top = 0.0
    c.augment.gain_db = 6.0
    c.augment.voice = 4.0
    c.augment.color = 1.0
    c.augment.light = 1.0
    c.augment.background = 0.5
    c.augment.warp = 1.0
    return c
