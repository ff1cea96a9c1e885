"""The task "sync": its loss, that it learns, and a run from shards to a report."""

import functools
import json
import shutil

import jax
import numpy as np
import pytest
from etils import epath

from configs import syncnet_demo
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset, training_examples
from s2f_jax import optim, step, train
from s2f_jax.evaluation import sync_offsets
from s2f_jax.evaluation.sync_scorer import load_sync_scorer
from s2f_jax.metrics import sync
from s2f_jax.metrics.sync import MIN_FRAMES
from s2f_jax.models import networks
from s2f_jax.runs import workdir
from s2f_jax.runs.checkpoint import Checkpoints
from s2f_jax.tasks import registry
from s2f_jax.tasks.sync import NAME, SyncTask, train_step
from s2f_jax.tasks.sync import losses as sync_losses
from tests import drawn_shards
from tests.s2f_jax.step_test import tiny_config as gan_config


def tiny_config():
    """One step an epoch on four devices, for the clips of drawn_shards."""
    c = syncnet_demo.get_config()
    c.data.corpus, c.data.dir = "drawn", ""
    c.data.height, c.data.width, c.data.audio_rate = 16, 12, 1000
    c.sync_network.update(features=8, width=4, audio_width=2)
    c.batch_size, c.eval_batch_size, c.clip_frames = 4, 4, 12
    c.max_epochs, c.log_every, c.sample_clips = 2, 1, 2
    return c


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    # One of each is too short: for five frames, and for 15 frames to either side.
    drawn_shards.write(folder, train=[40, 40, 40, 3], val=[40, 36, 20], test=[40, 45, 20])
    return folder


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "syncnet"
    assert train.train(tiny_config(), str(folder), str(shards)) == 0
    return folder


def test_the_loss_is_infonce_over_the_moments_of_a_clip():
    rng = np.random.default_rng(0)
    seen, heard = rng.normal(size=(2, 2, 7, 5)).astype(np.float32)
    count = (7, 4)
    valid = np.arange(7) < np.array(count)[:, None]
    losses, near = jax.jit(sync_losses)(seen, heard, valid)
    for row, n in enumerate(count):
        far = [[np.sqrt(((s - h) ** 2).sum()) for h in heard[row, :n]] for s in seen[row, :n]]
        odds = np.exp(-np.array(far))
        right = np.diag(odds)
        both = -np.log(right / odds.sum(axis=0)) - np.log(right / odds.sum(axis=1))
        assert losses[row] == pytest.approx(both.mean() / 2, rel=1e-4)
        assert near[row] == pytest.approx(np.mean(abs(odds.argmax(axis=1) - np.arange(n)) <= 1))


def test_codes_that_agree_cost_nothing_and_what_is_padded_costs_nothing():
    codes = 20 * np.eye(9, dtype=np.float32)[None].repeat(2, axis=0)
    valid = np.ones((2, 9), bool)
    losses, near = sync_losses(codes, codes, valid)
    np.testing.assert_allclose(losses, 0, atol=0.01)
    np.testing.assert_array_equal(near, 1)
    valid[1] = False
    losses, _ = sync_losses(codes, -codes, valid)
    assert losses[0] > 1 and losses[1] == 0


def batch_of(rng, clips, frames):
    """Clips whose brightness follows the level of their sound."""
    level = rng.uniform(0.05, 1, (clips, frames))
    audio = np.repeat(level, 40, axis=1) * rng.choice([-1, 1], (clips, frames * 40))
    video = np.zeros((clips, frames, 16, 12, 3)) + 255 * level[..., None, None, None]
    return {
        "frames": video.astype(np.uint8),
        "audio": np.pad(20000 * audio, ((0, 0), (80, 80))).astype(np.int16),
        "mask": np.ones((clips, frames), bool),
        "example_index": np.arange(clips, dtype=np.uint32),
    }


def test_it_learns_which_sound_goes_with_which_picture():
    config = tiny_config()
    network = networks.sync_network(config.data, config.sync_network, "float32")
    tx = optim.multi_adam({NAME: optim.epoch_decay(5e-3, 100, 1, 0.5)}, 0.9, 0.999)
    state = SyncTask(config).init(tx, jax.random.key(0))
    update = jax.jit(functools.partial(train_step, network=network, stride=40, tx=tx))
    rng, right = np.random.default_rng(0), []
    for number in range(150):
        state, metrics, _ = update(state, batch_of(rng, 4, 20), jax.random.key(number))
        right.append(float(metrics["sync_network/windows_right"]))
    assert np.mean(right[:5]) < 0.4  # Chance: 3 of 16.
    assert np.mean(right[-20:]) > 0.9


def test_a_run_says_how_well_it_does_and_keeps_the_best(trained):
    events = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    scores = [event for event in events if "validation/windows_right" in event]
    assert [event["step"] for event in scores] == [2, 4]
    for event in scores:
        assert 0 <= event["validation/windows_right"] <= 1
        assert 0 <= event["validation/clips_right"] <= 1
        assert event["validation/confidence"] >= 0
        assert event["validation/chance_confidence"] >= 0
    table = (trained / "samples" / "4" / "offsets.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| val0", "| val1"]


def test_stop_and_resume_is_running_through(trained, shards, tmp_path):
    config = tiny_config()
    for config.max_epochs in (1, 2):
        train.train(config, str(tmp_path / "run"), str(shards))
    whole, resumed = (
        [
            {name: value for name, value in json.loads(line).items() if "network" in name}
            for line in (folder / "metrics.jsonl").read_text().splitlines()
        ]
        for folder in (trained, tmp_path / "run")
    )
    assert whole == resumed


def test_a_trained_network_judges_and_says_whose_it_is(trained, shards):
    synchrony = load_sync_scorer(trained)
    name = synchrony.conventions["sync_network"]
    assert "sync_network of syncnet, step" in name and "validation clips" in name
    result = sync_offsets.evaluate(
        synchrony,
        dataset.open_dataset(tiny_config().data, "test", shards),
        trained / "evaluation" / "test",
        "drawn",
        "test",
    )
    for row in ("ground_truth", "shuffled_audio"):
        cell = result["rows"][row]["sync_confidence"]
        assert (cell["clips"], sum(cell["unscored"].values())) == (2, 1)
        assert str(MIN_FRAMES) in next(iter(cell["unscored"]))
    assert 0 <= result["rows"]["ground_truth"]["shift_found"]["mean"] <= 1
    assert "clips at" in result["conventions"]["offsets"]


def test_validation_and_scorer_find_the_same(trained, shards):
    """One batch of clips padded together against one clip at a time."""
    config = tiny_config()
    clips = dataset.open_dataset(config.data, "val", shards)
    trainer = train.Trainer(config, len(clips))
    checkpoints = Checkpoints(trained, read_only=True)
    state, _, _ = checkpoints.restore(4, trainer.like())
    checkpoints.close()
    found_by_validation = trainer.task.validation(clips, trainer.key).distances(state)
    synchrony = load_sync_scorer(trained / "checkpoints" / "4")
    for i, (found, _) in enumerate(found_by_validation):
        seen = synchrony.encode_video(clips[i].frames)
        heard = synchrony.encode_audio(clips[i].audio, len(clips[i]))
        own = sync.lag_distances(seen, heard)
        np.testing.assert_allclose(found, own, rtol=1e-3, atol=1e-3)


def test_only_short_validation_clips_are_refused(tmp_path):
    drawn_shards.write(tmp_path, train=[40], val=[34])
    with pytest.raises(UserError, match="no validation clip has the 35 frames"):
        train.train(tiny_config(), str(tmp_path / "run"), str(tmp_path))


def test_a_batch_in_parts_is_refused():
    config = tiny_config()
    config.accumulate = 2
    with pytest.raises(UserError, match="--config.accumulate=2: must be 1"):
        registry.build(config)


def damaged(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    for path in (folder / "checkpoints").glob("*/state/**/*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder


def of_another_size(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    config = json.loads((folder / "config.json").read_text())
    config["sync_network"]["features"] = 9
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda run, folder: folder / "none", "there is no checkpoint at"),
        (lambda run, folder: folder, "holds no checkpoint"),
        (damaged, "it is damaged"),
        (of_another_size, "whose networks have other sizes"),
    ],
)
def test_a_network_that_is_absent_or_damaged_is_one_sentence(make, message, trained, tmp_path):
    with pytest.raises(UserError, match=message):
        load_sync_scorer(make(trained, tmp_path))


def test_a_generators_run_without_a_sync_discriminator_is_refused(run_folder):
    with pytest.raises(UserError, match="holds neither a sync network nor a sync discriminator"):
        load_sync_scorer(run_folder)


def test_the_towers_of_a_runs_own_discriminator_serve(tmp_path):
    config = gan_config(sync={"width": 4, "audio_width": 2, "features": 8})
    config.discriminators.sync.weight = 1.0
    networks_ = networks.build(config.data, config.model, config.discriminators, config.loss)
    tx = optim.multi_adam({name: lambda count: 1e-3 for name in networks_.by_name()}, 0.5, 0.999)
    state = jax.jit(functools.partial(step.init, networks_, tx))(jax.random.key(0))
    workdir.write_config(config, epath.Path(tmp_path))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, {}, {}, 1.0)
    checkpoints.close()
    synchrony = load_sync_scorer(tmp_path)
    assert synchrony.conventions["sync_network"].startswith("sync_discriminator of")
    assert "was not measured" in synchrony.conventions["sync_network"]
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (5, 16, 12, 3), dtype=np.uint8)
    audio = rng.integers(-9999, 9999, 200).astype(np.int16)
    params = state.params["sync_discriminator"]
    logit = networks_.discriminators["sync_discriminator"].apply(
        {"params": params},
        video[None, None] / np.float32(127.5) - 1,
        training_examples.cut_audio(audio, 0, 5, 60, 40)[None] / np.float32(32768),
        np.array([[2]]),
    )
    distance = np.linalg.norm(synchrony.encode_video(video) - synchrony.encode_audio(audio, 5))
    assert float(logit[0]) == pytest.approx(float(params["threshold"]) - distance, abs=1e-3)
