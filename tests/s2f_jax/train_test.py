"""A run end to end on the demo corpus shrunk: logs, samples, early end, and exact resumption."""

import contextlib
import gc
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs import demo
from data_pipelines.common import files
from data_pipelines.common.errors import TrainingFailed, UserError
from data_pipelines.loading import dataset
from s2f_jax import step, train
from s2f_jax.config import schema
from s2f_jax.inference.animator import Animator
from s2f_jax.models import networks
from s2f_jax.runs import checkpoint
from s2f_jax.runs.checkpoint import Checkpoints
from s2f_jax.runs.workdir import read_config
from s2f_jax.tasks.animate_validation import AnimateValidation
from tests.logged import events
from tests.tiny import get_config as tiny


def final_state(workdir):
    config = read_config(workdir)
    trainer = train.Trainer(config, examples=8)
    checkpoints = Checkpoints(workdir, read_only=True)
    state, position, _ = checkpoints.restore(checkpoints.latest(), trainer.like())
    checkpoints.close()
    return state, position


@pytest.fixture(scope="session")
def run_through(shards, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run") / "whole"
    assert train.train(tiny(), str(workdir), shards) == 0
    return workdir


def test_a_run_leaves_what_the_design_lists(run_through, shards):
    config = json.loads((run_through / "config.json").read_text())
    assert config["schema"] == schema.SCHEMA
    made = json.loads((run_through / "run.json").read_text())
    assert made["versions"]["jax"] == jax.__version__
    logged = events(run_through)
    assert [e["step"] for e in logged if "clips_per_s" in e] == [1, 2, 3, 4, 5, 6]
    assert [e["step"] for e in logged if "validation/psnr" in e] == [2, 4, 6]
    assert logged[0]["memory_gb"] > 0
    assert "frame_discriminator/loss" not in logged[0]
    assert {"frame_discriminator/loss", "sequence_discriminator/accuracy_fake"} <= logged[1].keys()
    assert list(run_through.glob("events.out.tfevents.*"))
    assert [len(list(run_through.glob(f"samples/{s}/*.mp4"))) for s in (2, 4, 6)] == [1, 1, 1]
    assert {"4", "6"} <= {p.name for p in (run_through / "checkpoints").iterdir()}


@contextlib.contextmanager
def told_to_stop_in_the_third_step(monkeypatch):
    update = train.Trainer.update

    def stopping_update(self, state, number, batch):
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, state, number, batch)

    with monkeypatch.context() as patch:
        patch.setattr(train.Trainer, "update", stopping_update)
        yield


def test_stop_and_resume_equals_running_through(run_through, shards, tmp_path, monkeypatch, capsys):
    """SIGTERM in the middle of an epoch, then the same command again: bit for bit the same; with
    another jax it would not be, which the log says."""
    workdir = tmp_path / "stopped"
    with told_to_stop_in_the_third_step(monkeypatch):
        assert train.train(tiny(), str(workdir), shards) == train.STOPPED
    assert int(final_state(workdir)[0].step) == 3
    made = json.loads((workdir / "run.json").read_text())
    made["versions"]["jax"] = "0.9.0"
    (workdir / "run.json").write_text(json.dumps(made))
    assert "resumed with" not in capsys.readouterr().out
    assert train.train(tiny(), str(workdir), shards) == 0
    said = f"resumed with jax 0.9.0 -> {jax.__version__}: from here on the run may differ"
    assert capsys.readouterr().out.count(said) == 1
    (ours, position), (whole, whole_position) = final_state(workdir), final_state(run_through)
    assert position == whole_position
    jax.tree.map(np.testing.assert_array_equal, ours, whole)
    again = [e["step"] for e in events(workdir) if "clips_per_s" in e]
    assert again == [1, 2, 3, 4, 5, 6]


# Orbax leaves the tasks it had started behind when one of them fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(run_through, tmp_path, capsys):
    """A flipped byte in any file of the newest; or the first file of one of its parts gone."""
    trainer = train.Trainer(read_config(run_through), examples=8)
    newest = run_through / "checkpoints/6"
    files = [p.relative_to(run_through) for p in newest.rglob("*") if p.is_file()]
    like = trainer.like()
    first = {file.parts[2]: file for file in reversed(sorted(files))}
    noticed = set()
    for file, damage in [*((f, "flip") for f in files), *((f, "delete") for f in first.values())]:
        workdir = tmp_path / "run"
        shutil.copytree(run_through, workdir, ignore=shutil.ignore_patterns("samples", "events*"))
        content = bytearray((workdir / file).read_bytes())
        if damage == "delete" or not content:
            (workdir / file).unlink()
        else:
            content[len(content) // 2] ^= 1
            (workdir / file).write_bytes(content)
        checkpoints = Checkpoints(workdir, read_only=True)
        number, state, position, progress = checkpoints.restore_newest(like)
        checkpoints.close()
        assert int(state.step) == number
        if number == 4:
            noticed.add(file)
            assert progress["stopping"]["epochs"] == 2
            assert re.search("checkpoints/6 .*: trying the one before", capsys.readouterr().out)
        else:  # Of no importance, then: all is what was saved.
            assert (position, progress) == final_json(run_through)
            jax.tree.map(np.testing.assert_array_equal, state, final_state(run_through)[0])
        shutil.rmtree(workdir)
    assert {file.parts[2] for file in noticed} >= {"state", "data", "progress", "sums"}
    gc.collect()  # So that they do not trouble the tests that follow.


def final_json(workdir):
    checkpoints = Checkpoints(workdir, read_only=True)
    number = checkpoints.latest()
    items = [
        json.loads((workdir / "checkpoints" / str(number) / item / "metadata").read_text())
        for item in ("data", "progress")
    ]
    checkpoints.close()
    return tuple(items)


def test_a_run_with_a_limited_validation_goes_on(shards, tmp_path):
    config = tiny()
    config.validation_clips, config.sample_clips = 1, 0
    for config.max_epochs in (1, 2):
        assert train.train(config, str(tmp_path / "run"), shards) == 0
    assert int(final_state(tmp_path / "run")[0].step) == 4


def test_shards_and_workdir_at_an_address(run_through, shards, tmp_path, monkeypatch):
    """As on gs://, through the same calls: what is read is copied once, nothing is appended to."""
    monkeypatch.setattr(dataset, "is_remote", lambda path: True)
    monkeypatch.setattr(files, "is_remote", lambda path: True)
    monkeypatch.setattr(checkpoint, "is_remote", lambda path: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = tiny()
    config.max_epochs = 1
    for _ in range(2):  # The second time all is there.
        assert train.train(config, str(tmp_path / "run"), shards) == 0
    without_clock = [
        {name: x for name, x in event.items() if not name.endswith(("_per_s", "_percent", "_gb"))}
        for workdir in (tmp_path / "run", run_through)
        for event in events(workdir)[:3]
    ]
    assert without_clock[:3] == without_clock[3:]
    copied = {path.name.split(".")[0] for path in (tmp_path / "cache").glob("**/*array_record*")}
    assert copied == {"demo-train", "demo-val"}


def test_shards_of_another_size_are_refused(run_through, shards, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    shutil.copytree(run_through, workdir)
    monkeypatch.setattr(dataset.ClipDataset, "__len__", lambda self: 3)
    with pytest.raises(UserError, match=r"trained on \[4, 2\] .* has \[3, 3\]"):
        train.train(tiny(), str(workdir), shards)


def test_the_program_does_not_depend_on_the_order_of_strings():
    """A set's order differs between processes: a resumed run would add up in another order."""
    code = (
        "import jax, tests.s2f_jax.step_test as t; networks, tx, state = t.set_up();"
        "print(jax.make_jaxpr(t.compiled())(state, t.batch_of(), jax.random.key(0)))"
    )
    programs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(programs) == 1


def validation_scores(psnr, **scores):
    means = {"psnr": psnr, "ssim": 0.5, "psnr_mouth": psnr, "sharpness": 1.0, "eye_motion": 1.0}
    return means | {"spread_eyes": 0.0, "spread_mouth": 0.0, "balance": psnr} | scores


@pytest.mark.parametrize("pieces", [(10,), (2, 10), (1, 2, 3, 4, 10)])
def test_early_stopping_fires_and_survives_resumption(pieces, shards, tmp_path, monkeypatch):
    """Patience 2; epoch 2 is the best: the run ends after epoch 4, in however many pieces."""

    def scores(self, state, interrupted):
        psnr = {1: 20.0, 2: 21.0, 3: 20.5, 4: 20.9}[int(state.step) // 2]
        return validation_scores(psnr)

    monkeypatch.setattr(AnimateValidation, "scores", scores)
    for epochs in pieces:
        config = tiny()
        config.max_epochs, config.patience, config.sample_clips = epochs, 2, 0
        assert train.train(config, str(tmp_path / "run"), shards) == 0
    checkpoints = Checkpoints(tmp_path / "run", read_only=True)
    assert (checkpoints.latest(), checkpoints.best()) == (8, 4)
    checkpoints.close()


def test_the_best_is_of_those_that_all_networks_have_trained_for(shards, tmp_path, monkeypatch):
    """L1 alone in epochs 1 and 2, which score highest; of 3 and 4 the former is better."""

    def scores(self, state, interrupted):
        psnr = {1: 24.0, 2: 25.0, 3: 21.0, 4: 20.0}[int(state.step) // 2]
        return validation_scores(psnr)

    monkeypatch.setattr(AnimateValidation, "scores", scores)
    config = tiny()
    config.loss.adversarial_from, config.max_epochs, config.sample_clips = 4, 4, 0
    assert train.train(config, str(tmp_path / "run"), shards) == 0
    checkpoints = Checkpoints(tmp_path / "run", read_only=True)
    assert (checkpoints.latest(), checkpoints.best()) == (8, 6)
    checkpoints.close()


def test_patience_begins_with_the_adversarial_terms(shards, tmp_path, monkeypatch):
    """L1 alone is best in epochs 1 and 2; 3 is better than 4 and 5, after which patience ends."""

    def scores(self, state, interrupted):
        return validation_scores({1: 25.0, 2: 24.0, 3: 21.0}.get(int(state.step) // 2, 20.0))

    monkeypatch.setattr(AnimateValidation, "scores", scores)
    config = tiny()
    config.loss.adversarial_from, config.max_epochs, config.sample_clips = 4, 10, 0
    config.patience = 2
    assert train.train(config, str(tmp_path / "run"), shards) == 0
    checkpoints = Checkpoints(tmp_path / "run", read_only=True)
    assert (checkpoints.latest(), checkpoints.best()) == (10, 6)
    checkpoints.close()


def test_the_best_by_what_is_bought_with_the_mouth_is_kept_too(shards, tmp_path, monkeypatch):
    """Of five epochs the first is the sharpest, the second the liveliest, the third the best."""

    def scores(self, state, interrupted):
        epoch = int(state.step) // 2
        psnr = {1: 20.0, 2: 21.0, 3: 22.0}.get(epoch, 19.0)
        sharpness, eyes = {1: (0.9, 0.1), 2: (0.5, 1.2)}.get(epoch, (0.5, 0.1))
        return validation_scores(psnr, sharpness=sharpness, eye_motion=eyes)

    monkeypatch.setattr(AnimateValidation, "scores", scores)
    config = tiny()
    config.max_epochs, config.keep_latest, config.sample_clips = 5, 1, 0
    assert train.train(config, str(tmp_path / "run"), shards) == 0
    kept = {int(path.name) for path in (tmp_path / "run/checkpoints").glob("[0-9]*")}
    assert kept == {config.loss.adversarial_from} | {2, 4, 6, 10}


def test_an_ended_run_goes_no_further(run_through, shards):
    before = events(run_through)
    assert train.train(tiny(), str(run_through), shards) == 0
    assert events(run_through) == before


def test_a_workdir_of_schema_1_goes_on(run_through, shards, tmp_path):
    """One epoch more, in a folder that the first version wrote: the config is today's then."""
    workdir = tmp_path / "run"
    shutil.copytree(run_through, workdir)
    config = json.loads((workdir / "config.json").read_text()) | {"schema": 1}
    for before, after in schema.RENAMED.items():
        (section, name), (_, discriminator, field) = before.split("."), after.split(".")
        config[section][name] = config["discriminators"][discriminator][field]
    del config["model"]["face"], config["task"], config["discriminators"]
    (workdir / "config.json").write_text(json.dumps(config))
    longer = tiny()
    longer.max_epochs += 1
    assert train.train(longer, str(workdir), shards) == 0
    steps = [event["step"] for event in events(workdir)]
    assert max(steps) > max(event["step"] for event in events(run_through))
    assert json.loads((workdir / "config.json").read_text()) == schema.as_json(longer)


def test_another_config_is_refused_with_the_difference(run_through, shards):
    other = tiny()
    other.loss.reconstruction = 600.0
    with pytest.raises(UserError, match=r"loss\.reconstruction: 400\.0 there, 600\.0 now"):
        train.train(other, str(run_through), shards)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clips(shards, tmp_path, monkeypatch):
    objective = step.objective

    def broken(*args, **kwargs):
        total, (terms, stats) = objective(*args, **kwargs)
        terms["generator/reconstruction"] = terms["generator/reconstruction"].at[0].set(np.nan)
        return total, (terms, stats)

    monkeypatch.setattr(step, "objective", broken)
    with pytest.raises(TrainingFailed, match=r"generator/reconstruction.* step 1 .*d00\d_"):
        train.train(tiny(), str(tmp_path / "run"), shards)


def test_an_animator_of_the_run_speaks(run_through, shards):
    clip = dataset.open_dataset(tiny().data, "test", shards)[0]
    video = Animator.load(run_through)(clip.frames[0], clip.audio, clip.audio_rate, aligned=True)
    assert video.shape == clip.frames.shape
    assert video.dtype == np.uint8


def test_the_train_step_lowers_for_tpu_and_cuda_at_full_size():
    config = demo.base.get_config()
    trainer = train.Trainer(config, examples=100)
    generator = networks.generator(config.data, config.model)
    samples = 74 * generator.stride + generator.window
    batch = {
        "frames": jax.ShapeDtypeStruct((4, 75, 128, 96, 3), np.uint8),
        "still": jax.ShapeDtypeStruct((4, 128, 96, 3), np.uint8),
        "audio": jax.ShapeDtypeStruct((4, samples), np.int16),
        "mask": jax.ShapeDtypeStruct((4, 75), bool),
        "example_index": jax.ShapeDtypeStruct((4,), np.uint32),
    }
    function = jax.jit(trainer.steps[True].__wrapped__)
    shapes = jax.eval_shape(lambda: trainer.fresh())
    key = jax.eval_shape(lambda: jax.random.key(0))
    exported = jax.export.export(function, platforms=["tpu", "cuda"])(shapes, batch, key)
    assert exported.platforms == ("tpu", "cuda")


def test_a_dry_run_says_what_a_run_would_cost_and_writes_nothing(shards, tmp_path, capsys):
    config = tiny()
    config.dry_run = True
    assert train.train(config, str(tmp_path / "run"), shards) == 0
    assert not (tmp_path / "run").exists()
    shown = capsys.readouterr().out
    trainer = train.Trainer(config, examples=8)
    counts = {
        name: sum(leaf.size for leaf in jax.tree.leaves(params))
        for name, params in trainer.fresh().params.items()
    }
    for name, count in [*counts.items(), ("in all", sum(counts.values()))]:
        assert f"{name} {count:,}" in shown
    assert "steps per epoch: 2 of 4 clips of 5 frames" in shown
    for kind in ("train_l1", "train"):
        assert re.search(rf"^{kind} step: [\d.]+ MFLOPs, [\d.]+ MB accessed$", shown, re.M)
        assert re.search(rf"^{kind} memory per device \(of 4\): [\d.]+ [kM]B \(arg", shown, re.M)


def traces(workdir):
    return list((workdir / "profile").rglob("*.trace.json.gz"))


def steps_of(trace):
    """Which train steps a trace has seen dispatched."""
    marked = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    return {int(e["args"]["step_num"]) for e in marked if "step_num" in e.get("args", {})}


def test_a_profile_holds_the_steps_asked_for_and_is_found_after_a_signal(
    shards, tmp_path, monkeypatch, capsys
):
    """Steps 3 to 5, stopped in step 3; the same command goes on with 4 and 5."""
    config, workdir = tiny(), tmp_path / "run"
    config.profile = "3:5"
    with told_to_stop_in_the_third_step(monkeypatch):
        assert train.train(config, str(workdir), shards) == train.STOPPED
    (first,) = traces(workdir)
    assert steps_of(first) == {3}
    assert f"in {workdir}/profile:" in capsys.readouterr().out
    assert train.train(config, str(workdir), shards) == 0
    (second,) = set(traces(workdir)) - {first}
    assert steps_of(second) == {4, 5}
