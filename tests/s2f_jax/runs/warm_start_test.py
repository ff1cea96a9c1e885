"""Runs that begin with another one's networks."""

import json
import shutil

import jax
import numpy as np
import pytest
from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax import train
from s2f_jax.runs import warm_start
from s2f_jax.runs.checkpoint import Checkpoints, restore_variables
from s2f_jax.runs.restore import find_checkpoint
from s2f_jax.runs.workdir import write_config
from s2f_jax.state import TrainState
from s2f_jax.tasks import lipread
from tests.logged import events
from tests.tiny import get_config as tiny


def trainer(**weights):
    """weights: of discriminators."""
    config = tiny()
    for name, weight in weights.items():
        config.discriminators[name].weight = weight
    config.seed = 1  # Fresh networks are others than the source's.
    return train.Trainer(config, examples=8)


@pytest.fixture(scope="module")
def source(shards, tmp_path_factory):
    """A run with every network, of one epoch."""
    config = tiny()
    config.max_epochs, config.sample_clips, config.discriminators.sync.weight = 1, 0, 1.0
    workdir = tmp_path_factory.mktemp("run") / "source"
    assert train.train(config, str(workdir), shards) == 0
    return workdir


def same(left, right):
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, left, right)))


def test_networks_are_the_source_s_and_all_else_is_fresh(source):
    of = trainer(sync=1.0)
    fresh = of.fresh()
    state, origin = warm_start.begin(of.fresh(), source, tiny().data)
    folder, step = find_checkpoint(source)
    assert set(origin["started_from"]["networks"]) == set(fresh.params)
    assert origin["started_from"]["step"] == step > 0 == int(state.step)
    for name in fresh.params:
        variables = restore_variables(folder, step, name)
        assert same(variables, state.variables(name))
        assert not same(fresh.variables(name), state.variables(name))
    assert same(fresh.opt_state, state.opt_state)
    shardings = [jax.tree.map(lambda leaf: leaf.sharding, each.params) for each in (fresh, state)]
    assert shardings[0] == shardings[1]


def test_networks_that_the_source_lacks_are_fresh(source, tmp_path):
    """As a run made of the authors' weights has the generator alone."""
    folder, step = find_checkpoint(source)
    only = restore_variables(folder, step, "generator")
    write_config(tiny(), epath.Path(tmp_path))
    checkpoints = Checkpoints(tmp_path)
    collections = ({"generator": only[name]} for name in ("params", "batch_stats"))
    checkpoints.save(TrainState(np.int32(7), *collections, {}), {}, {}, 20.0)
    checkpoints.close()
    of = trainer()
    fresh = of.fresh()
    state, origin = warm_start.begin(of.fresh(), tmp_path, tiny().data)
    assert origin["started_from"]["networks"] == ["generator"]
    assert same(only, state.variables("generator"))
    for name in ("frame_discriminator", "sequence_discriminator"):
        assert same(fresh.variables(name), state.variables(name))


def test_networks_that_the_run_lacks_are_left(source):
    state, origin = warm_start.begin(trainer(frame=0.0, sequence=0.0).fresh(), source, tiny().data)
    assert list(state.params) == origin["started_from"]["networks"] == ["generator"]


def test_a_run_begins_once_and_goes_on_by_the_same_command(source, shards, tmp_path, capsys):
    config, workdir = tiny(), tmp_path / "run"
    config.max_epochs, config.sample_clips = 1, 0
    assert train.train(config, str(workdir), shards, str(source)) == 0
    assert json.loads((workdir / "run.json").read_text())["started_from"]["run"] == "source"
    alone = tmp_path / "alone"
    assert train.train(config, str(alone), shards) == 0
    first, fresh = (events(folder)[0]["generator/reconstruction"] for folder in (workdir, alone))
    assert first != fresh
    config.max_epochs = 2
    assert train.train(config, str(workdir), shards, str(tmp_path / "gone by now")) == 0
    assert "it goes on with its own networks: --start_from=" in capsys.readouterr().out
    made = json.loads((workdir / "run.json").read_text())
    assert made["from_step"] == 2 and "started_from" in made["earlier"][0]


@pytest.mark.parametrize(
    "start_from,said",
    [
        ("nothing", "there is no checkpoint at"),
        ("other rates", "was trained at fps=25 and this config has 50: give --config.data.fps=25"),
        ("other sizes", r"has a generator of other sizes \(\S+: \(.*\) there, \(.*\) here\): give"),
        ("another task", "has none of the networks .*generator, .*: give a run of the same task"),
    ],
)
def test_mistakes_leave_no_run(start_from, said, source, shards, tmp_path):
    other = tmp_path / "other"
    if start_from == "another task":
        write_config(tiny(), epath.Path(other))
        checkpoints = Checkpoints(other)
        leaf = {"lipnet": {"a": np.zeros(3, np.float32)}}
        checkpoints.save(TrainState(np.int32(7), leaf, leaf, {}), {}, {}, 20.0)
        checkpoints.close()
    of = tiny()
    if start_from == "other sizes":
        of.model.id_features = 9
    with pytest.raises(UserError, match=said):
        if start_from == "other rates":
            of.data.fps = 50
            warm_start.begin(trainer().fresh(), source, of.data)
        given = other if start_from in ("nothing", "another task") else source
        train.train(of, str(tmp_path / "run"), shards, str(given))
    assert not (tmp_path / "run").exists()


@pytest.fixture
def expert(tmp_path):
    """A run of a lip reader, and the config of a run that learns from it."""
    config = tiny()
    config.lipreader.update(height=16, width=16, mouth=8.0, widths=(4, 4, 4), features=4)
    folder = tmp_path / "expert"
    write_config(config, epath.Path(folder))
    variables = lipread.initial(config, jax.random.key(7))
    own = ({lipread.NAME: variables[name]} for name in ("params", "batch_stats"))
    checkpoints = Checkpoints(folder)
    checkpoints.save(TrainState(np.int32(7), *own, {}), {}, {}, 20.0)
    checkpoints.close()
    config.loss.lip_reading, config.loss.lip_expert = 8.0, str(folder)
    config.loss.deep_supervision = 20.0
    config.max_epochs, config.sample_clips = 2, 0
    return folder, variables, config


def test_a_run_learns_from_a_lip_reader_that_does_not_and_goes_on_without_its_run(
    expert, shards, tmp_path
):
    folder, variables, config = expert
    workdir = tmp_path / "run"
    assert train.train(config, str(workdir), shards) == 0
    shutil.rmtree(folder)
    config.max_epochs = 3
    assert train.train(config, str(workdir), shards) == 0
    saved, step = find_checkpoint(workdir)
    assert same(restore_variables(saved, step, "lip_expert"), variables)
    name = "generator/lip_reading"
    terms = [event[name] for event in events(workdir) if name in event]
    assert len(terms) == 5 and min(terms) > 0  # Of six steps, the first of L1 alone.


@pytest.mark.parametrize(
    "mistake,said",
    [
        ("none", "lip_reading=8.0 needs a trained lip reader: give its workdir"),
        ("gone", "there is no checkpoint at"),
        ("another task", "holds no lipreader: give a run of one"),
        ("other sizes", r"has a lipreader of other sizes \(\S+: \(.*\) there, \(.*\) here\): give"),
    ],
)
def test_a_lip_reader_that_cannot_be_had_leaves_no_run(
    mistake, said, expert, source, shards, tmp_path
):
    config = expert[2]
    paths = {"none": "", "gone": str(tmp_path / "gone"), "another task": str(source)}
    config.loss.lip_expert = paths.get(mistake, config.loss.lip_expert)
    if mistake == "other sizes":
        config.lipreader.features = 5
    with pytest.raises(UserError, match=said):
        train.train(config, str(tmp_path / "run"), shards)
    assert not (tmp_path / "run").exists()
