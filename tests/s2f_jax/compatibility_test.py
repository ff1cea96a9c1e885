"""What earlier versions saved is read as they read it.

tests/fixtures/saved_by_0_1_0.zip holds a run of the demo's networks at 16x12 pixels with all three
discriminators, its bundle, a study with four people's votes and its report, and frames that the run drew, of
commit 93d6397. saved_by_schema_1.zip holds a run of tests/tiny.py of that schema, its shards and frames that
it drew, of commit d68a3b5.
"""

import json
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from s2f_jax import train
from s2f_jax.apps.study import publishing
from s2f_jax.config import schema
from s2f_jax.inference.animator import Animator
from s2f_jax.runs.workdir import read_config
from tests import tiny

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
SAVED = FIXTURES / "saved_by_0_1_0.zip"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    with zipfile.ZipFile(SAVED) as file:
        file.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def saved_by_schema_1(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema_1")
    with zipfile.ZipFile(FIXTURES / "saved_by_schema_1.zip") as file:
        file.extractall(folder)
    return folder


@pytest.mark.parametrize(
    ("by", "kind"),
    [
        *(("saved", kind) for kind in ("run", "run/checkpoints/4", "bundle")),
        ("saved_by_schema_1", "run"),
    ],
)
def test_what_was_saved_draws_the_frames_that_it_drew(request, by, kind):
    folder = request.getfixturevalue(by)
    drawn = np.load(folder / "drawn.npz")
    animator = Animator.load(folder / kind)
    frames = animator(drawn["still"], drawn["sound"], 1000, seed=7, aligned=True)
    difference = np.abs(frames.astype(int) - drawn["frames"])
    assert frames.shape == drawn["frames"].shape and difference.max() <= 1


def test_the_bundle_s_own_program_runs(saved):
    code = "import run_bundle, sys; sys.exit(run_bundle.main(['--help']))"
    folder = saved / "bundle"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0 and "--image" in result.stdout


def test_the_run_s_config_has_today_s_fields(saved):
    config = read_config(saved / "run")
    assert config.schema == schema.SCHEMA
    today = dict(schema.fields(tiny.get_config()))
    assert dict(schema.fields(config)).keys() == today.keys()


def test_the_run_goes_on_where_it_was(saved, shards):
    config = read_config(saved / "run")
    config.max_epochs = 3
    assert train.train(config, str(saved / "run"), shards) == 0
    made = json.loads((saved / "run" / "run.json").read_text())
    assert made["from_step"] == 4 and made["earlier"][0]["from_step"] == 0
    events = [json.loads(x) for x in (saved / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [e["step"] for e in events if "clips_per_s" in e] == [1, 2, 3, 4, 5, 6]
    assert {"sync_discriminator/loss", "frame_discriminator/loss"} <= events[-2].keys()


def test_a_run_of_schema_1_goes_on_with_its_shards(saved_by_schema_1):
    run = saved_by_schema_1 / "run"
    config = read_config(run)
    config.max_epochs = 3
    assert train.train(config, str(run), str(saved_by_schema_1 / "shards")) == 0
    assert json.loads((run / "config.json").read_text())["schema"] == schema.SCHEMA
    events = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    assert [e["step"] for e in events if "clips_per_s" in e] == [1, 2, 3, 4, 5, 6]


def test_the_study_s_report_is_the_one_it_had(saved):
    publishing.write_report(str(saved / "study"), str(saved / "report"))
    then, now = (
        json.loads((saved / name).read_text(), parse_float=lambda text: round(float(text), 12))
        for name in (
            "study_report.json",
            "report/report.json",
        )  # SciPy's quantiles differ after that.
    )
    assert now == then
