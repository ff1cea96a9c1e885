"""What is written in launch/ fits the program, its packages, and the schemas it is read by."""

import math
import re
import shlex
import subprocess
import tomllib

import kubernetes_validate
import pytest
import yaml

from s2f_jax import main
from s2f_jax.cli import commands
from s2f_jax.config.read import load_config
from s2f_jax.runs import cluster
from tests.programs import ROOT

LAUNCH = ROOT / "launch"
DOCKERFILE = (LAUNCH / "Dockerfile").read_text()
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
MANIFESTS = sorted(LAUNCH.glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def by_name(path):
    return path.name


def jobs(name):
    """-> the jobs of a jobset, and the name by which JobSet's service knows its first pod."""
    jobset = yaml.safe_load((LAUNCH / name).read_text())
    groups = jobset["spec"]["replicatedJobs"]
    name = jobset["metadata"]["name"]
    return [group["template"]["spec"] for group in groups], f"{name}-{groups[0]['name']}-0-0.{name}"


@pytest.fixture(params=MANIFESTS, ids=by_name)
def jobset(request):
    return yaml.safe_load(request.param.read_text())


@pytest.fixture
def job(jobset):
    (group,) = jobset["spec"]["replicatedJobs"]
    return group["template"]["spec"]


@pytest.fixture
def container(job):
    (container,) = job["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize("path", SCRIPTS, ids=by_name)
def test_a_script_runs_and_parses(path):
    assert path.stat().st_mode & 0o100
    subprocess.run(["bash", "-n", path], check=True)


def test_the_documentation_names_every_file_and_every_file_it_names_is_there():
    text = (ROOT / "docs/guides/where-training-runs.md").read_text()
    named = set(re.findall(r"launch/(\w[\w.]*\.(?:sh|yaml|py)|Dockerfile)", text))
    assert named == {path.name for path in LAUNCH.iterdir() if path.is_file()}


def test_a_jobset_is_one_whose_job_kubernetes_takes(jobset, job):
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    whole = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "s2f"}, "spec": job}
    kubernetes_validate.validate(whole, "1.32", strict=True)
    assert jobset["spec"].keys() == {"failurePolicy", "replicatedJobs"}
    (group,) = jobset["spec"]["replicatedJobs"]
    assert group.keys() == {"name", "replicas", "template"} and group["replicas"] == 1


def test_a_jobset_restarts_after_a_save_and_else_a_few_times(jobset, job, container):
    policy = jobset["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 3
    (rule,) = policy["rules"]
    assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    saved = job["podFailurePolicy"]["rules"][0]
    assert saved["action"] == "FailJob"
    assert saved["onExitCodes"]["values"] == [75]
    assert saved["onExitCodes"]["containerName"] == container["name"]
    assert job["backoffLimit"] == 0 and job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] >= 60


def test_a_jobset_s_arguments_are_accepted_and_fit_its_devices(job, container, monkeypatch):
    read = []
    monkeypatch.chdir(ROOT)

    def train(given, rest):
        assert given["data_dir"] and given["workdir"]
        read.append(load_config(given["config"], rest))
        return 0

    monkeypatch.setitem(commands.COMMANDS, "train", commands.COMMANDS["train"]._replace(run=train))
    assert "command" not in container  # The image's entry point is the program.
    assert main.dispatch(container["args"]) == 0
    assert job["parallelism"] == job["completions"]
    (chips,) = container["resources"]["limits"].values()
    devices = job["parallelism"] * chips
    assert read[0].batch_size % devices == read[0].eval_batch_size % devices == 0


def test_a_tpu_jobset_asks_for_the_chips_of_its_topology():
    (job,), _ = jobs("jobset.yaml")
    pod = job["template"]["spec"]
    topology = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")
    chips = pod["containers"][0]["resources"]["limits"]["google.com/tpu"]
    assert math.prod(map(int, topology)) == job["parallelism"] * chips


def test_a_gpu_jobset_tells_each_process_its_place(monkeypatch):
    (job,), address = jobs("jobset_gpu.yaml")
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    started = []
    monkeypatch.setattr(cluster.jax.distributed, "initialize", lambda **how: started.append(how))
    for process in range(job["completions"]):
        for each in job["template"]["spec"]["containers"][0]["env"]:
            value = each.get("value")
            if value is None:
                assert each["valueFrom"]["fieldRef"]["fieldPath"] == index
                value = str(process)
            monkeypatch.setenv(each["name"], value)
        cluster.join(None, None, None)
    assert [how["process_id"] for how in started] == list(range(job["completions"]))
    for how in started:
        assert how["num_processes"] == job["completions"]
        assert re.fullmatch(rf"{address}:\d+", how["coordinator_address"])


def test_a_jobset_s_volumes_are_those_it_mounts(job, container):
    volumes = {each["name"] for each in job["template"]["spec"].get("volumes", [])}
    assert volumes == {each["name"] for each in container.get("volumeMounts", [])}


def test_the_image_copies_what_is_there_and_not_kept_from_it():
    ignored = (ROOT / ".dockerignore").read_text().split()
    sources = []
    for line in re.findall(r"^COPY (.*)", DOCKERFILE, re.MULTILINE):
        sources += line.split()[:-1]
    assert all((ROOT / source).exists() for source in sources)
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == set(sources)
    packages = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.removesuffix("*") for name in packages} | {"configs"} <= set(sources)


def test_the_image_runs_the_one_command_with_a_lock_that_is_there():
    assert DOCKERFILE.rstrip().endswith('ENTRYPOINT ["python", "-m", "s2f_jax.main"]')
    locks = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    assert set(re.findall(r"LOCK=(\w+)", DOCKERFILE)) == {"cuda"} <= locks


@pytest.mark.parametrize("name", ["gpu.sh", "slurm.sh"])
def test_a_script_s_own_arguments_are_accepted(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    (default,) = re.findall(r's2f_jax\.main "\$\{@:-(.*)\}"', (LAUNCH / name).read_text())
    (argument,) = shlex.split(default)
    assert load_config(argument.removeprefix("--config="), []).name == "grid"
