"""`plan`, without the compilers: what it reads, searches, says and refuses."""

import json

import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.planning import compiler, hlo, plan
from s2f_jax.planning.chips import parse_target
from tests.s2f_jax.planning.counts_test import LOOP

REPORT = """Memory Space: default (color=0)
Total bytes: 5000000 (4.77MiB)
  cumulative_size;       size;       offset; used_by_n_values; shapes_list
  ------------------------------------------------------------
    2.00MiB( 42%);    2.00MiB;            0;                1; f32[512,1024]
    3.00MiB( 63%);    1.00MiB;      2097152;                2; 2×f32[256,512]
  The rest 3 values are less than 5% of the total size and not shown.

Memory Space: alternate (color=1)
Total bytes: 99 (99B)
    99B(100%);        99B;            0;                1; f32[3]
"""
ASSIGNMENT = """BufferAssignment:
allocation 0: size 512, thread-local:
allocation 1: size 3000000, parameter 0, shape |f32[750000]| at ShapeIndex {}, maybe-live-out:
allocation 2: size 1000, parameter 1, shape |f32[250]| at ShapeIndex {}:
allocation 3: size 1999000, preallocated-temp:
"""


def test_memory_is_read_by_kind():
    memory = compiler.read_memory(REPORT, ASSIGNMENT)
    assert (memory.arguments, memory.temporaries, memory.total) == (3001000, 1999000, 5000000)
    assert memory.largest == ((2**21, "f32[512,1024]"), (2**20, "2×f32[256,512]"))


@pytest.mark.parametrize(
    ("said", "needed"),
    [
        (
            "Ran out of memory in memory space hbm. Used 17.50G of 15.75G hbm. Exceeded",
            17.5 * 2**30,
        ),
        ("required for HLO temporaries (156.25G) exceeds available HBM (15.75G).", 156.25 * 2**30),
    ],
)
def test_a_refusal_says_what_is_needed(said, needed):
    error = compiler._failure(f"jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: {said}")
    assert isinstance(error, compiler.TooLarge) and error.needed == needed


def test_another_failure_is_not_taken_for_a_refusal():
    error = compiler._failure("Traceback\nValueError: no")
    assert isinstance(error, RuntimeError) and "ValueError: no" in str(error)


@pytest.mark.parametrize("first", [1, 16, 500])
@pytest.mark.parametrize(("fixed", "each"), [(10, 7), (0, 1), (900, 1), (990, 30)])
def test_the_largest_that_fits_is_found(first, fixed, each):
    """With steps in the memory, as a compiler makes them."""
    compiled = []

    def memory_of(count):
        compiled.append(count)
        return fixed + each * count + (5 if count % 2 else 0)

    found = plan.largest_that_fits(memory_of, 1000, first, memory_of(first))
    assert found == 0 or memory_of(found) <= 1000
    assert memory_of(found + max(2, found // 64)) > 1000
    assert len(compiled) < 16


@pytest.fixture
def compiled(monkeypatch):
    """The loop of counts_test in place of a compiler's program."""
    asked = []

    def compile_step(target, examples, config, overrides):
        asked.append((target.name, examples, config, list(overrides)))
        if target.name == "v5e-4":
            raise compiler.TooLarge(20 * 10**9)
        memory = compiler.read_memory(REPORT, ASSIGNMENT)
        return compiler.CompiledStep(hlo.parse(LOOP), hlo.parse(LOOP), memory)

    monkeypatch.setattr(compiler, "check_compiler", lambda target: None)
    monkeypatch.setattr(compiler, "compile_step", compile_step)
    return asked


def test_the_figures_of_each_target(compiled, tmp_path, capsys):
    file = tmp_path / "plan.json"
    code = plan.plan(
        "demo", [], "v5e-1,v5e-4", clips_per_chip=8, clips=800, price="v5e=1.5", json_file=str(file)
    )
    assert code == 1  # One does not fit.
    assert [(name, extra[-1]) for name, _, _, extra in compiled] == [
        ("v5e-1", "--config.batch_size=8"),
        ("v5e-4", "--config.batch_size=32"),
    ]
    one, four = json.loads(file.read_text())["plans"]
    assert one["fits"] and not four["fits"] and four["seconds"] is None
    assert (one["memory"], one["iterations"], one["kernels_in_loops"]) == (5000000, 75, 150)
    step = sum(one["seconds"].values())
    assert one["hours_per_epoch"] == pytest.approx(100 * step / 3600)
    assert one["price"] == pytest.approx(30 * 1.5 * 100 * step / 3600)
    said = capsys.readouterr().out
    assert "memory a chip: 0.01 GB of 16.91 GB: fits" in said
    assert "memory a chip: 20.00 GB of 16.91 GB: DOES NOT FIT" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"clips_per_chip": 0}, "--clips_per_chip=0: must be an integer of at least 1"),
        ({"clips": 0}, "--clips=0: must be an integer of at least 1"),
        ({"epochs": -1}, "--epochs=-1: must be an integer of at least 1"),
        ({"on": "v5e-8,v7-8"}, "--on=v7-8: must be a chip and a number"),
        ({"on": "h100-3"}, "--on=h100-3: 3 chips cannot share --config.batch_size=8"),
        ({"price": "v5e"}, "--price=v5e: must be a chip"),
        ({"price": "v5e=nan"}, "--price=v5e=nan: must be a chip"),
        ({"price": "x=1"}, "--price=x=1: must be a chip"),
    ],
)
def test_mistakes_are_refused_before_anything_is_compiled(compiled, flags, message):
    with pytest.raises(UserError, match="^" + message):
        plan.plan("demo", ["--config.batch_size=8"], **{"on": "v5e-8", **flags})
    assert not compiled


def test_a_run_of_unknown_length_is_refused(compiled):
    with pytest.raises(UserError, match="^--config.clip_frames=0: "):
        plan.plan("demo", ["--config.clip_frames=0"], "v5e-8")


def test_without_its_compiler_a_target_is_refused(monkeypatch):
    monkeypatch.setattr(compiler, "_PACKAGES", {"tpu": "no_such", "cuda": "no_such.package"})
    for name in ("v5e-8", "h100-8"):
        with pytest.raises(UserError, match=rf"^--on={name}: .* pip install 's2f_jax\[plan\]'"):
            compiler.check_compiler(parse_target(name))
