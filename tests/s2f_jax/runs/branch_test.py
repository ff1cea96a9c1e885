"""Runs that begin where the first phase of another one ends."""

import json

import jax
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from s2f_jax import train
from s2f_jax.runs import branch
from s2f_jax.runs.checkpoint import Checkpoints
from tests.tiny import get_config as tiny


def config(**weights):
    """Of two phases; weights: of discriminators."""
    c = tiny()
    c.max_epochs, c.sample_clips, c.loss.adversarial_from, c.keep_latest = 3, 0, 3, 1
    for name, weight in weights.items():
        c.discriminators[name].weight = weight
    return c


@pytest.fixture(scope="module")
def source(shards, tmp_path_factory):
    """A run with the frame and the sequence discriminator, of six steps."""
    workdir = tmp_path_factory.mktemp("run") / "source"
    assert train.train(config(), str(workdir), shards) == 0
    return workdir


def newest(workdir, of):
    checkpoints = Checkpoints(workdir, read_only=True)
    number, state, position, progress = checkpoints.restore_newest(train.Trainer(of, 8).like())
    checkpoints.close()
    return number, jax.device_get(state), position, progress


@pytest.mark.parametrize(
    "weights",
    [{"sequence": 0.0, "sync": 1.0}, {"frame": 0.0, "sequence": 0.0}],
    ids=["one more and one less", "none"],
)
def test_it_is_the_run_that_was_trained_from_the_start_bit_for_bit(
    weights, source, shards, tmp_path
):
    of = config(**weights)
    whole, branched = tmp_path / "whole", tmp_path / "branched"
    assert train.train(of, str(whole), shards) == 0
    assert train.train(of, str(branched), shards, branch_from=str(source)) == 0
    left, right = newest(whole, of), newest(branched, of)
    assert left[0] == right[0] == 6
    jax.tree.map(np.testing.assert_array_equal, left[1], right[1])
    assert left[2] == right[2]
    entry = json.loads((branched / "run.json").read_text())["branched_from"]
    assert entry == {"run": "source", "step": 3}


def test_the_end_of_the_first_phase_is_kept_in_the_middle_of_an_epoch(source):
    assert branch.end_of_first_phase(source, 3).exists()  # Epochs of two steps; kept: one.
    kept = sorted(int(path.name) for path in (source / "checkpoints").iterdir())
    assert 3 in kept and 6 in kept and 2 not in kept


def other_seed(c):
    c.seed = 5


def other_rate(c):
    c.optim.generator_rate = 1e-5


def no_phase(c):
    c.loss.adversarial_from = 0


@pytest.mark.parametrize(
    "change,said",
    [
        (other_seed, r"another run before loss.adversarial_from \(seed: 0 there, 5 now\)"),
        (other_rate, r"optim.generator_rate: .* there, 1e-05 now"),
        (no_phase, r"loss.adversarial_from: 3 there, 0 now"),
    ],
)
def test_another_first_phase_is_refused_and_leaves_no_run(change, said, source, shards, tmp_path):
    of = config()
    change(of)
    assert not branch.shares_first_phase(of, config())
    with pytest.raises(UserError, match=said):
        train.train(of, str(tmp_path / "run"), shards, branch_from=str(source))
    assert not (tmp_path / "run").exists()


def test_a_source_without_that_checkpoint_is_refused(shards, tmp_path):
    short = config()
    short.max_epochs = 1
    assert train.train(short, str(tmp_path / "short"), shards) == 0
    with pytest.raises(UserError, match="no checkpoint of step 3, where its first phase ends"):
        train.train(config(), str(tmp_path / "run"), shards, branch_from=str(tmp_path / "short"))
    assert not (tmp_path / "run").exists()


def test_what_acts_in_the_second_phase_alone_may_differ():
    assert branch.shares_first_phase(config(), config(frame=0.0))
    late = config()
    late.loss.lip_reading, late.loss.rest_above, late.loss.adversarial_limit = 3.0, 0.5, 1.0
    late.discriminators.frame.width = 32
    assert branch.shares_first_phase(config(), late)
    for name in ("variety", "spectrum", "deep_supervision", "reconstruction_frames"):
        early = config()
        early.loss[name] = type(early.loss[name])(7)
        assert not branch.shares_first_phase(config(), early)
    none = config()
    none.loss.adversarial_from = 0
    assert not branch.shares_first_phase(none, none)
