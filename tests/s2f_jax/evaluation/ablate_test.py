"""Variants of a config: which, in what order, and what is repeated."""

import pathlib
import shlex
import subprocess

import pytest

from data_pipelines.common.errors import STOPPED, UserError
from s2f_jax.config import read
from s2f_jax.evaluation import ablate, evaluate, scorers
from s2f_jax.reports import table
from tests.programs import ROOT

DEMO = "configs/demo.py"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_baseline_and_the_model_come_first_then_the_table_s_order():
    names = [
        variant.name
        for variant in ablate.select_variants(DEMO, "runs/x", "no_noise,static_baseline")
    ]
    assert names == ["static_baseline", "model", "no_noise"]
    every = [variant.name for variant in ablate.select_variants(DEMO, "runs/x", None)]
    files = {path.stem for path in pathlib.Path("configs/ablations").glob("[!_]*.py")}
    assert set(every) == files | {"model"} and len(every) == len(files) + 1


def test_each_variant_differs_from_its_config_in_its_own_fields():
    def differing(name):
        (variant,) = (v for v in ablate.select_variants(DEMO, "x", name) if v.name == name)
        base, changed = read.load_config(DEMO, []), read.load_config(variant.config, [])
        from s2f_jax.config.schema import fields

        before = dict(fields(base))
        return {field: value for field, value in fields(changed) if before[field] != value} | {
            "name": 0
        }

    assert differing("l1_only") == {
        "discriminators.frame.weight": 0.0,
        "discriminators.sequence.weight": 0.0,
        "name": 0,
    }
    assert differing("lambda_fourfold") == {"loss.reconstruction": 1600.0, "name": 0}
    assert differing("static_baseline") == {
        "model.recurrent": False, "model.noise_features": 0, "discriminators.sequence.weight": 0.0, "name": 0
    }  # fmt: skip


def test_as_many_frames_of_a_clip_are_drawn_without_draws_of_the_noise():
    names = ("model", "with_sync", "no_noise", "static_baseline", "l1_only")
    variants = ablate.select_variants("configs/grid_s1.py", "x", ",".join(names[1:]))
    drawn = {v.name: read.load_config(v.config, []).loss.reconstruction_frames for v in variants}
    assert drawn == dict(zip(names, (8, 8, 24, 24, 24), strict=True))


def test_a_preset_applies_to_the_variants():
    variant = ablate.select_variants("configs/grid.py:sda", "x", "l1_only")[1]
    assert read.load_config(variant.config, []).model.window == 0.2


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="no variant 'l2'; give some of static_baseline,"):
        ablate.select_variants(DEMO, "x", "l1_only,l2")
    with pytest.raises(UserError, match="there is no folder"):
        ablate.select_variants("tests/tiny.py", "x", None)


def test_printed_commands_train_one_variant_each(capsys):
    assert (
        ablate.ablate(
            DEMO, ["--config.seed=3"], "runs/x", "D", names="no_noise", print_only="commands"
        )
        == 0
    )
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["python", "-m", "s2f_jax.main", f"--config={config}", f"--workdir=runs/x/{name}",
         "--data_dir=D", "--config.seed=3"]
        for config, name in ((DEMO, "model"), ("configs/ablations/no_noise.py:demo", "no_noise"))
    ]  # fmt: skip


def test_the_slurm_array_runs_its_own_command_and_is_requeued_when_stopped(capsys, tmp_path):
    ablate.ablate(DEMO, [], "runs/a b", None, names="no_noise", print_only="slurm")
    script = capsys.readouterr().out
    assert "--array=0-1\n" in script
    for name, body in (
        ("python", 'printf "%s\\n" "$@" > "$OUT"; exit 75'),
        ("scontrol", 'echo "$@" > "$OUT.queued"'),
    ):
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    ids = {
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_ARRAY_JOB_ID": "7",
        "OUT": str(tmp_path / "arguments"),
    }
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", **ids}
    done = subprocess.run(["bash", "-c", script], env=environment, check=False)
    assert done.returncode == 75
    assert "--workdir=runs/a b/no_noise" in (tmp_path / "arguments").read_text().splitlines()
    assert (tmp_path / "arguments.queued").read_text() == "requeue 7_1\n"


class _Metrics:
    def close(self):
        pass


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """Trains and scores nothing, but records the calls."""
    recorded, done = {"codes": {}, "trained": [], "scored": [], "seeds": [], "table": None}, set()

    def train(command):
        name = pathlib.Path(command[3].removeprefix("--workdir=")).name
        recorded["trained"].append(name)
        return recorded["codes"].get(name, 0)

    def score(config, workdir, data_dir, split, rows, metrics, seed):
        recorded["scored"].append((pathlib.Path(workdir).name, len(rows)))
        recorded["seeds"].append((config.seed, seed))
        done.add(str(workdir))

    def write(output, runs, rows, with_sequence, failed):
        recorded["table"], recorded["rows"] = (list(runs), sorted(with_sequence)), rows
        recorded["failed"] = failed
        return {"corpus": "demo", "split": "test", "rows": {}, "conventions": {}}

    monkeypatch.setattr(ablate, "_run_training", train)
    monkeypatch.setattr(evaluate, "evaluate_run", score)
    monkeypatch.setattr(evaluate, "is_up_to_date", lambda config, workdir, *_: str(workdir) in done)
    monkeypatch.setattr(scorers, "run_metrics", lambda *_: _Metrics())
    monkeypatch.setattr(table, "write_table", write)
    monkeypatch.setattr(ablate.formats, "markdown", lambda _: "")
    names = "static_baseline,l1_only,no_noise"
    recorded["run"] = lambda **options: ablate.ablate(
        DEMO, [], str(tmp_path), None, **{"names": names} | options
    )
    return recorded


def test_only_the_model_has_all_rows_and_only_missing_scores_are_made(stage):
    assert stage["run"]() == 0
    first = [("static_baseline", 1), ("model", 4), ("l1_only", 1), ("no_noise", 1)]
    assert stage["scored"] == first
    assert stage["run"]() == 0
    assert stage["scored"] == first
    assert stage["table"] == (
        ["static_baseline", "model", "l1_only", "no_noise"], ["model", "no_noise"]
    )  # fmt: skip


def test_a_failed_variant_does_not_stop_the_others(stage):
    stage["codes"]["l1_only"] = 1
    assert stage["run"]() == 1
    assert [name for name, _ in stage["scored"]] == ["static_baseline", "model", "no_noise"]
    assert "l1_only" in stage["table"][0] and stage["failed"] == ["l1_only"]


def test_a_stopped_training_ends_the_command(stage):
    stage["codes"]["model"] = STOPPED
    assert stage["run"]() == STOPPED
    assert stage["trained"] == ["static_baseline", "model"] and not stage["scored"]


def test_every_variant_is_trained_and_scored_with_every_seed(stage):
    assert stage["run"](names="l1_only", seeds=3) == 0
    runs = ["model", "l1_only"]
    runs += [f"{name}_seed_{seed}" for seed in (1, 2) for name in ("model", "l1_only")]
    assert stage["trained"] == runs
    # Trained with its own seed, scored with one: the same noise, and one run alone has all rows.
    assert stage["seeds"] == [(0, 0), (0, 0), (1, 0), (1, 0), (2, 0), (2, 0)]
    assert stage["scored"] == [(run, 4 if run == "model" else 1) for run in runs]
    assert stage["table"] == (runs, ["model"])
    assert stage["rows"] == {run: run.split("_seed")[0] for run in runs[2:]}


def test_one_seed_keeps_the_folders_that_an_older_table_has(stage):
    stage["run"](names="l1_only")
    stage["run"](names="l1_only", seeds=2)
    assert stage["scored"] == [
        ("model", 4), ("l1_only", 1), ("model_seed_1", 1), ("l1_only_seed_1", 1)
    ]  # fmt: skip


def test_seeds_follow_the_config_s_own(capsys):
    ablate.ablate(
        DEMO, ["--config.seed=7"], "runs/x", None, names="", seeds=2, print_only="commands"
    )
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert [line[4:] for line in lines] == [
        ["--workdir=runs/x/model", "--config.seed=7"],
        ["--workdir=runs/x/model_seed_8", "--config.seed=7", "--config.seed=8"],
    ]


def test_a_failed_seed_does_not_stop_the_others(stage):
    stage["codes"]["l1_only_seed_1"] = 1
    assert stage["run"](names="l1_only", seeds=2) == 1
    assert stage["failed"] == ["l1_only_seed_1"]
    assert [run for run, _ in stage["scored"]] == ["model", "l1_only", "model_seed_1"]


def test_the_first_phase_is_trained_once_for_each_seed(stage, monkeypatch, tmp_path):
    step, sources = read.load_config(DEMO, []).loss.adversarial_from, {}

    def train(command):
        run = pathlib.Path(command[3].removeprefix("--workdir="))
        (run / "checkpoints" / str(step)).mkdir(parents=True)
        given = [each for each in command if each.startswith("--branch_from=")]
        sources[run.name] = [pathlib.Path(each.partition("=")[2]).name for each in given]
        return 0

    monkeypatch.setattr(ablate, "_run_training", train)
    assert step and stage["run"](names="static_baseline,frame_only,with_sync", seeds=2) == 0
    assert sources == {
        **dict.fromkeys(("static_baseline", "model"), []),
        **dict.fromkeys(("static_baseline_seed_1", "model_seed_1"), []),
        **dict.fromkeys(("frame_only", "with_sync"), ["model"]),
        **dict.fromkeys(("frame_only_seed_1", "with_sync_seed_1"), ["model_seed_1"]),
    }


@pytest.mark.parametrize("seeds", [0, -1])
def test_a_number_of_seeds_below_one_is_refused(seeds):
    with pytest.raises(UserError, match=f"--seeds={seeds}: must be an integer of at least 1"):
        ablate.ablate(DEMO, [], "runs/x", None, names="l1_only", seeds=seeds, print_only="commands")
