"""Two thousand steps with checkpoints, validations and samples between them. Minutes long."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from data_pipelines import prepare
from tests import tiny
from tests.programs import ROOT


@pytest.mark.slow
def test_memory_stays_flat(tmp_path):
    """The resident set of the last 1,500 of 2,000 steps grows by less than 2 %."""
    config = tiny.get_config()
    config.data.options.train_clips = 100
    prepare.prepare(config.data, None, tmp_path / "shards")
    subprocess.run(
        [
            *(sys.executable, "-m", "s2f_jax.main", "--config=tests/tiny.py"),
            *(f"--data_dir={tmp_path / 'shards'}", f"--workdir={tmp_path / 'run'}"),
            *("--config.data.options.train_clips=100", "--config.max_epochs=20"),
            *("--config.checkpoint_every=40", "--config.patience=100"),
        ],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        check=True,
    )
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if "memory_gb" in event]
    assert [event["step"] for event in events] == list(range(1, 2001))
    memory = np.array([event["memory_gb"] for event in events[500:]])
    # Hundreds of steps a mean: a save's copy of the state is there in some steps and not in others.
    first, last = memory[:300].mean(), memory[-300:].mean()
    print(f"{first:.4f} GB in steps 501-800, {last:.4f} GB in steps 1701-2000")
    assert last < 1.02 * first
