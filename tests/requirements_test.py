"""The locks hold what pyproject.toml asks for, of both stacks, and agree with each other."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.programs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {  # Of each lock.
    "run": ("data",),
    "dev": ("dev", "docs", "data"),
    "cuda": ("cuda",),
    "tpu": ("tpu",),
    "plan": ("plan",),
}
HEAVY = {"torch", "triton", "apache-beam", "tensorflow-cpu"}


def pins(lock, python):
    """-> name -> version, as pip would install them on Linux."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
    }
    listed = (ROOT / f"requirements/{lock}.txt").read_text().replace("\\\n", " ")
    found = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in listed.splitlines())):
        text, *hashes = line.split("--hash=")
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each.strip()) for each in hashes)
        assert hashes, f"{text} has no hash"
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        (pin,) = requirement.specifier
        name = canonicalize_name(requirement.name)
        assert pin.operator == "==" and name not in found
        found[name] = pin.version
    return found


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_holds_what_the_project_asks_for(lock, python):
    optional = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(each for e in EXTRAS[lock] for each in optional[e])]
    pinned = pins(lock, python)
    for requirement in map(Requirement, asked):
        if not requirement.marker or requirement.marker.evaluate({"python_version": python}):
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_what_runs_is_what_was_tested(python):
    tested = pins("dev", python)
    pinned = pins("run", python)
    assert pinned.items() <= tested.items()
    assert not pinned.keys() & HEAVY
    for accelerator in ("cuda", "tpu", "plan"):
        common = pins(accelerator, python)
        assert all(tested.get(name, version) == version for name, version in common.items())


def test_the_stacks_are_the_oldest_jax_and_a_newer_one():
    oldest, newest = (pins("run", python)["jax"] for python in ("3.11", "3.13"))
    (jax,) = (r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "jax")
    assert f">={oldest}" in str(jax.specifier)
    assert newest.split(".")[:2] > oldest.split(".")[:2]
