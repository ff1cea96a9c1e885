"""A run on clips of many lengths, whole ones and damaged ones."""

import re
import shutil

import numpy as np
import pytest

from data_pipelines.common.errors import TrainingFailed
from data_pipelines.loading import dataset
from s2f_jax import train
from s2f_jax.runs import workdir
from s2f_jax.tasks.animate_validation import AnimateValidation
from tests import drawn_shards
from tests.logged import events
from tests.tiny import get_config as tiny


@pytest.fixture(scope="module")
def any_lengths(tmp_path_factory):
    """Shards of clips of 1 to 5 frames for training and of 1 to 30 for the rest, and which byte of
    the training shard costs which clip."""
    root = tmp_path_factory.mktemp("lengths")
    drawn_shards.write(
        root, train=[5, 1, 2, 4, 5, 3, 1, 5], val=[30, 1, 2, 6, 8], test=[2, 9, 1, 27, 5]
    )
    return root, drawn_shards.vulnerable(root)


def of_any_lengths():
    config = tiny()
    config.data.corpus = "drawn"
    config.clip_frames, config.max_epochs = 0, 1
    return config


def test_clips_of_any_length_train_and_a_damaged_one_is_told_and_counted(
    any_lengths, tmp_path, capsys
):
    root, places = any_lengths
    shutil.copytree(root, tmp_path / "data")
    lost = min(places)
    drawn_shards.flip(drawn_shards.shard(tmp_path / "data"), places[lost])
    assert train.train(of_any_lengths(), str(tmp_path / "run"), str(tmp_path / "data")) == 0
    logged = events(tmp_path / "run")
    assert [e["data/corrupt_records"] for e in logged if "clips_per_s" in e][-1] == 1
    assert all(np.isfinite(e["generator/reconstruction"]) for e in logged if "clips_per_s" in e)
    shown = capsys.readouterr().out
    assert len(re.findall(rf"record {lost} of .*drawn-train.* is damaged", shown)) == 1
    assert workdir.read_config(tmp_path / "run").clip_frames == 0


def test_more_damaged_records_than_allowed_end_the_run(any_lengths, tmp_path):
    root, places = any_lengths
    shutil.copytree(root, tmp_path / "data")
    lost = [i for i in sorted(places) if i != min(places) + 1][:2]  # No two in a row.
    drawn_shards.flip(drawn_shards.shard(tmp_path / "data"), *(places[i] for i in lost))
    config = of_any_lengths()
    config.data.max_corrupt = 1
    with pytest.raises(TrainingFailed, match=r"2 records .*max_corrupt=1, .*drawn-train"):
        train.train(config, str(tmp_path / "run"), str(tmp_path / "data"))


def validation(clips, trainer):
    task = trainer.task
    return AnimateValidation(clips, task.built, 4, 0, 5, 0, trainer.key)


def test_validation_scores_do_not_depend_on_the_batches(any_lengths, tmp_path):
    """Each clip by itself, or side by side with others of another length."""
    root, _ = any_lengths
    config = of_any_lengths()
    clips = dataset.open_dataset(config.data, "val", root)
    trainer = train.Trainer(train.with_clip_frames(config, clips), examples=8)
    state = trainer.fresh()
    alone = [validation([clip], trainer).scores(state)["psnr"] for clip in clips]
    together = validation(clips, trainer).scores(state)
    np.testing.assert_allclose(together["psnr"], np.mean(alone), rtol=1e-5)
