"""Several processes and devices: who finds whom, and that the numbers do not depend on it."""

import os

import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.runs import cluster


@pytest.fixture
def started(monkeypatch):
    """What jax.distributed.initialize is called with; no launcher's variables are set."""
    calls = []
    monkeypatch.setattr(cluster.jax.distributed, "initialize", lambda **how: calls.append(how))
    for name in list(os.environ):
        if name.startswith(("SLURM", "OMPI", "TPU", "JAX_COORD", "JAX_NUM", "JAX_PROC")):
            monkeypatch.delenv(name)
    return calls


def test_alone_nothing_is_started(started):
    cluster.join(None, None, None)
    assert started == []


def test_flags_and_variables_name_the_same_cluster(started, monkeypatch):
    cluster.join("localhost:1234", 3, 2)
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1234")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "3")
    monkeypatch.setenv("JAX_PROCESS_ID", "2")
    cluster.join(None, None, None)
    assert started[0] == started[1]
    assert started[0]["coordinator_address"] == "localhost:1234"
    assert (started[0]["num_processes"], started[0]["process_id"]) == (3, 2)


@pytest.mark.parametrize(
    ("variables", "method"),
    [
        ({"SLURM_NTASKS": "8"}, "slurm"),
        ({"SLURM_NTASKS": "1"}, None),  # All the devices of the one task, not its first alone.
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "ompi"),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "gketpu"),
    ],
)
def test_launchers_are_known_by_their_variables(started, monkeypatch, variables, method):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    cluster.join(None, None, None)
    assert [how["cluster_detection_method"] for how in started] == ([method] if method else [])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("localhost:1", None, None), "only a part is known"),
        ((None, 2, 0), "only a part is known"),
        (("localhost", 2, 0), "make no cluster"),
        (("localhost:1", 2, 2), "make no cluster"),
    ],
)
def test_half_an_address_is_a_mistake(started, flags, said):
    with pytest.raises(UserError, match=said):
        cluster.join(*flags)
    assert started == []


def test_a_variable_that_is_no_number_is_a_mistake(started, monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "many")
    with pytest.raises(UserError, match="JAX_NUM_PROCESSES=many is no number"):
        cluster.join(None, None, None)


def test_alone_a_vote_is_ones_own():
    vote = cluster.AnyProcess()
    assert [vote.any(yes) for yes in (False, True, False)] == [False, True, False]
