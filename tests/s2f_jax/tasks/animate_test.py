"""What the task "animate" reads of the shards and makes of them."""

import numpy as np
import pytest

from configs import grid_s1, lip_expert_s1
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset
from s2f_jax import train
from s2f_jax.tasks import lipread
from s2f_jax.tasks.registry import build
from tests.tiny import get_config as tiny


@pytest.mark.parametrize("task", ["animate", "sync"])
def test_landmarks_are_read_only_if_looks_depend_on_them(task):
    config = tiny()
    config.task = task
    for field, more in ((None, set()), ("light", set()), ("warp", {"landmarks"})):
        if field:
            config.augment[field] = 0.5
        assert set(build(config).features) == {*dataset.TRAINING_FEATURES, *more}


def test_training_examples_of_shards_have_other_looks(shards):
    config = tiny()
    config.augment.update(color=1.0, light=1.0, background=1.0, warp=1.0)
    task = build(config)
    clip = dataset.open_dataset(config.data, "train", shards, task.features)[0]
    first, again, other = (
        task.example(clip, np.random.default_rng(seed), False, None) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first["still"], again["still"])
    for still in (clip.frames[0], other["still"]):
        assert np.abs(first["still"].astype(int) - still).mean() > 5


def test_an_epoch_has_every_clip_once_unless_speakers_are_balanced(shards):
    config = tiny()
    clips = dataset.open_dataset(config.data, "train", shards, build(config).features)
    clips.speaker_of_clips = lambda: ["a"] * (len(clips) - 1) + ["b"]
    once, last = list(range(len(clips))), len(clips) - 1
    assert list(train._visits(config, clips)) == once
    config.balance_speakers = 1.0
    assert train._visits(config, clips) == once[:-1] + [last] * last


@pytest.mark.parametrize(
    "mirror,least,passes", [(False, 1, 1), (False, 2, 2), (True, 2, 1), (True, 5, 3)]
)
def test_an_epoch_has_all_clips_as_often_as_its_fewest_steps_ask(mirror, least, passes, shards):
    config = tiny()
    config.mirror, config.epoch_steps = mirror, least
    clips = dataset.open_dataset(config.data, "train", shards, build(config).features)
    assert len(clips) == config.batch_size == 4
    visits = train._visits(config, clips)
    assert list(visits) == [0, 1, 2, 3] * passes
    examples = len(visits) * (2 if mirror else 1)
    assert train.Trainer(config, examples).steps_per_epoch >= least


def test_what_is_not_read_out_of_z_c_no_lip_reader_can_read():
    config = tiny()
    config.loss.deep_lip_reading = 20.0
    with pytest.raises(UserError, match="deep_lip_reading=20.0: it reads what deep supervision"):
        build(config)
    config.loss.deep_supervision = 20.0
    with pytest.raises(UserError, match="deep_lip_reading=20.0 needs a trained lip reader"):
        build(config)


def test_where_nothing_is_copied_no_share_is_drawn():
    config = tiny()
    config.loss.drawn_share = 6.0
    config.model.copy_path = False
    with pytest.raises(UserError, match="drawn_share=6.0: it is of the copy path's mask"):
        build(config)
    config.model.copy_path = True
    build(config)


@pytest.mark.parametrize("preset", ["cvprw2019", "full"])
def test_the_lip_reader_that_grid_s1_learns_from_is_the_one_that_its_config_trains(preset):
    """But for dropout and noise, which have no variables."""
    grid, expert = grid_s1.get_config(preset), lip_expert_s1.get_config(preset)
    assert grid.loss.lip_expert == f"runs/{expert.name}"
    assert lipread.crop(grid) == lipread.crop(expert)
    networks = (lipread.network(c).clone(dropout=0.0, noise=0.0) for c in (grid, expert))
    assert next(networks) == next(networks)
