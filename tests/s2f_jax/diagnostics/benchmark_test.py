"""The benchmark's contract: its keys, what it compares, and what it refuses. No duration is asserted."""

import json

import numpy as np
import pytest

from configs import demo
from s2f_jax import main
from s2f_jax.diagnostics import benchmark, benchmark_sections
from tests.tiny import get_config as tiny

FIGURES = {
    *("peak.flops_per_s", "generate.frames_per_s", "stream.p50_ms", "stream.p95_ms"),
    "stream.p99_ms",
    *("checkpoint.blocking_ms", "checkpoint.whole_ms", "metrics.image_clips_per_s"),
    *(
        f"{kind}.{figure}"
        for kind in ("train", "train_l1")
        for figure in ("steps_per_s", "clips_per_s", "flops_per_step", "flops_per_s", "peak_share")
    ),
    *(
        f"{network}.{passes}_ms"
        for network in ("generator", "frame_discriminator", "sequence_discriminator")
        for passes in ("forward", "gradient")
    ),
}


@pytest.fixture(scope="module", autouse=True)
def small_matrices():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(benchmark_sections.MATRIX_SIZE, "cpu", 64)
        yield


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "figures.json"
    benchmark.benchmark(tiny(), str(path.parent), json_file=str(path), seconds=0)
    return path


def test_every_figure_is_present_and_positive(measured):
    result = json.loads(measured.read_text())
    environment = {
        name: result.pop(name) for name in ("device", "devices", "cores", "commit", "versions")
    }
    assert environment["device"] == "cpu" and environment["devices"] == 4
    assert "jax" in environment["versions"]
    sizes = {name: result.pop(name) for name in ("config", "batch_size", "clip_frames", "dtype")}
    assert list(sizes.values()) == ["demo", 4, 5, "float32"]
    quartiles, counts = result.pop("quartiles"), result.pop("runs")
    assert result.keys() == quartiles.keys() == counts.keys() == FIGURES
    assert all(0 < low <= result[name] <= high for name, (low, high) in quartiles.items())
    assert result["train.flops_per_step"] > result["train_l1.flops_per_step"]
    np.testing.assert_allclose(result["train.clips_per_s"], 4 * result["train.steps_per_s"])


def test_the_loader_is_measured_where_there_are_shards(shards, tmp_path, capsys):
    result = benchmark.benchmark(tiny(), shards, only="loader", seconds=0)
    np.testing.assert_allclose(result["loader.frames_per_s"], 5 * result["loader.clips_per_s"])
    assert result["runs"].keys() >= {"loader.core_frames_per_s", "loader.jpeg_frames_per_s"}
    assert 0 < result["loader.share_of_jpeg"] < 1
    result = benchmark.benchmark(tiny(), str(tmp_path), only="loader", seconds=0)
    assert result["runs"] == {}
    assert "no loader figures: there are no demo shards" in capsys.readouterr().out


def test_without_raw_clips_there_are_no_figures_of_prepare(capsys):
    assert benchmark.benchmark(tiny(), only="prepare", seconds=0)["runs"] == {}
    assert "no prepare figures: raw clips are needed" in capsys.readouterr().out


def test_figures_are_compared_with_saved_ones(measured, tmp_path, capsys):
    saved = json.loads(measured.read_text())
    flops = saved["train.flops_per_step"]
    saved |= {"train.flops_per_step": flops / 2, "batch_size": 8}
    saved["quartiles"]["train.flops_per_step"] = [flops / 2, flops / 2]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(saved))
    capsys.readouterr()
    benchmark.benchmark(tiny(), only="train", seconds=0, compare=str(other))
    shown = capsys.readouterr().out
    assert f"batch_size is 4 here and 8 in {other}" in shown
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if "." in line}
    assert rows["train.flops_per_step"][-1] == "2.00"
    assert rows["train_l1.flops_per_step"][-2:] == ["1.00", "~"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--compare=none.json"], "--compare=none.json cannot be read (FileNotFoundError"),
        (["--compare=text.json"], "--compare=text.json cannot be read (JSONDecodeError"),
        (["--compare=list.json"], "--compare=list.json cannot be read (TypeError"),
        (["--compare=empty.json"], "give a file that `benchmark --json` wrote"),
        (
            ["--only=train,tests"],
            "there is no section 'tests'; give some of train, networks, generate",
        ),
        (["--json=no/such.json"], "--json=no/such.json: must be a file in an existing folder"),
        (["--seconds=-1"], "--seconds=-1.0: must be a number of at least 0"),
        (["--seconds=soon"], "--seconds=soon: must be a number"),
    ],
)
def test_unusable_flags_are_refused_before_any_work(flags, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("text", "{"), ("list", "[]"), ("empty", "{}")):
        (tmp_path / f"{name}.json").write_text(text)
    config = f"--config={demo.__file__}"
    monkeypatch.setattr(benchmark, "Workload", None)
    assert main.dispatch(["benchmark", config, *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_calls_are_timed_a_minimum_number_of_times():
    calls = []
    assert len(benchmark_sections.time_calls(lambda: calls.append(1), seconds=0, least=7)) == 7
    assert len(calls) == 8  # The first warms up.


def test_the_help_lists_every_section(capsys):
    with pytest.raises(SystemExit):
        main.dispatch(["benchmark", "--help"])
    assert ",".join(benchmark_sections.SECTIONS) in "".join(capsys.readouterr().out.split())
