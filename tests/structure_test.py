"""The shape of the code: which way imports go, and that every config builds."""

import ast
import importlib.util
import pathlib

import jax
import pytest

from s2f_jax import networks, optim, step

ROOT = pathlib.Path(__file__).parent.parent
CONFIGS = sorted(p for p in (ROOT / "configs").glob("*.py") if p.name != "__init__.py")


def imports(path):
    """The modules a file names in its imports, as 'a.b' for `from a import b` too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(folder, *forbidden):
    return [
        (path.relative_to(ROOT).as_posix(), name)
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in imports(path)
        if any(name == f or name.startswith(f + ".") for f in forbidden)
        if not path.name.endswith("_test.py")
    ]


def test_models_know_jax_and_flax_and_nothing_else():
    own = [
        (path, name)
        for path, name in offenders("s2f_jax/models", "s2f_jax", "data_pipelines", "ml_collections")
        if not name.startswith("s2f_jax.models")
    ]
    assert own == []


def test_data_pipelines_know_no_jax_and_no_models():
    assert offenders("data_pipelines", "jax", "flax", "s2f_jax", "configs") == []


def test_nothing_imports_main_configs_tests_or_launch():
    for folder in ("s2f_jax", "data_pipelines"):
        assert offenders(folder, "s2f_jax.main", "configs", "tests", "launch") == []
    assert offenders("configs", "s2f_jax", "data_pipelines") == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.relative_to(ROOT).as_posix())
@pytest.mark.parametrize("preset", ["cvprw2019", "sda"])
def test_every_config_builds_its_networks(path, preset):
    spec = importlib.util.spec_from_file_location("config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(preset)
    built = networks.build(config.data, config.model, config.loss)
    rates = {name: optim.epoch_decay(1e-4, 10, 20, 0.9) for name in built}
    tx = optim.multi_adam(rates, config.optim.b1, config.optim.b2)
    state = jax.eval_shape(lambda: step.init(built, tx, jax.random.key(0)))
    assert state.params.keys() == built.keys()
    assert isinstance(config.to_json(), str)
