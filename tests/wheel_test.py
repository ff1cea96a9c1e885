"""The wheel, installed outside the checkout, has all that its commands read and no test."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import jax
import pytest

from configs import ablations, demo
from data_pipelines.media import images
from s2f_jax.config import schema
from s2f_jax.export import parity
from s2f_jax.export.export import export_bundle
from tests import tiny
from tests.generating import SOUND, STILL, streams
from tests.programs import ROOT
from tests.s2f_jax.compatibility_test import SAVED
from tests.wav_files import wav

PACKAGES = ("configs", "data_pipelines", "s2f_jax")
METADATA = ("LICENSE", "README.md", "pyproject.toml")
MODEL = "s2f_jax/checkpoints/small"

LOADS_EVERY_CONFIG = """
import pathlib, sys
import configs, data_pipelines, s2f_jax
from s2f_jax.config.read import load_config
for package in (configs, data_pipelines, s2f_jax):
    assert pathlib.Path(package.__file__).is_relative_to(sys.prefix), package.__file__
folder = pathlib.Path(configs.__file__).parent
for file in sorted(folder.glob("[a-z]*.py")):
    assert load_config(file.stem, ()).name, file
for file in sorted(folder.glob("ablations/[a-z]*.py")):
    assert load_config(f"ablations/{file.stem}:demo", ()).name == f"demo_{file.stem}"
print(load_config("grid:sda", ()).name)
"""
HELPS_WITH_EVERY_COMMAND = """
from s2f_jax.cli.commands import COMMANDS
from s2f_jax.main import dispatch
for name in COMMANDS:
    try:
        dispatch([name, "--help"])
    except SystemExit as ended:
        assert ended.code == 0, name
"""
READS_EVERY_CORPUS = """
from data_pipelines import prepare
from s2f_jax.config.read import load_config
for name in ("grid", "tcd_timit", "crema_d", "demo"):
    where = None if name == "demo" else "."
    info = prepare.make_builder(load_config(name, ()).data, where, "data").info
    assert info.citation and info.description, name
"""


@pytest.fixture(scope="module")
def model(saved, tmp_path_factory):
    """-> a bundle as a model that ships with the package, with an example."""
    folder = tmp_path_factory.mktemp("exported") / "small"
    inputs = str(saved / "still.png"), str(saved / "sound.wav")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "CASES", ((1, 2, 2),))
        export_bundle(
            str(saved / "run"),
            str(folder),
            "none",
            "bfloat16",
            *inputs,
            aligned=True,
            example=True,
        )
    return folder


@pytest.fixture(scope="module")
def wheel(model, tmp_path_factory):
    """Built from a copy, so that what an earlier build left behind gets into no wheel; with a model."""
    source = tmp_path_factory.mktemp("source")
    for name in METADATA:
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=no_caches)
    shutil.copytree(model, source / MODEL)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    environment = os.environ | {"PYTHONPATH": ""}
    subprocess.run(build, cwd=source, env=environment, check=True, capture_output=True)
    (file,) = (source / "dist").iterdir()
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """-> a function that runs a program of a new environment in an empty folder; it sees the packages
    of the running one, but neither the checkout nor its installation."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    running = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "running.pth").write_text("\n".join(running))  # Their own .pth files are not read.
    (folder / "work").mkdir()
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(jax.config.jax_compilation_cache_dir)

    def run(program, *arguments):
        result = subprocess.run(
            [python.parent / program, *arguments],
            cwd=folder / "work",
            env=environment,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """-> a folder with a run, a still and a sound."""
    folder = tmp_path_factory.mktemp("saved")
    with zipfile.ZipFile(SAVED) as file:
        file.extractall(folder)
    (folder / "still.png").write_bytes(images.encode_png(STILL))
    wav(folder / "sound.wav", SOUND[:8000])
    return folder


def test_all_files_of_the_packages_are_in_it_and_nothing_else(wheel, model):
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files |= {f"{MODEL}/{path.name}" for path in model.iterdir()}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == files
    assert not [name for name in names if name.endswith("_test.py") or "tests" in name.split("/")]
    assert {"configs/ablations/l1_only.py", "data_pipelines/grid/checksums.tsv"} <= names


def test_an_index_would_take_it_and_show_its_description(wheel):
    check = [sys.executable, "-m", "twine", "check", "--strict", wheel]
    result = subprocess.run(check, capture_output=True, text=True)
    assert result.returncode == 0 and "PASSED" in result.stdout, result.stdout


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (LOADS_EVERY_CONFIG, "grid"),
        (HELPS_WITH_EVERY_COMMAND, "usage"),
        (READS_EVERY_CORPUS, ""),
    ],
    ids=["configs", "help", "corpora"],
)
def test_what_is_read_from_the_packages_is_there(installed, code, says):
    assert says in installed("python", "-c", code)


def test_a_config_is_a_file_here_or_the_name_of_one_in_the_package(installed, tmp_path):
    pytest.importorskip("espeakng_loader")  # The extra [data].
    shutil.copy(tiny.__file__, tmp_path / "small.py")
    data_dir = f"--data_dir={tmp_path}"
    assert "2 test" in installed("s2f", "prepare", f"--config={tmp_path / 'small.py'}", data_dir)
    full = dict(schema.fields(demo.get_config()))
    shrunk = [
        f"--config.{name}={value}"
        for name, value in schema.fields(tiny.get_config())
        if name in full and full[name] != value
    ]
    # The adversarial step takes a minute to compile, and has nothing of its own in the wheel.
    shrunk += [f"--config.discriminators.{name}.weight=0" for name in ("frame", "sequence")]
    told = installed("s2f", "--config=demo", "--config.dry_run=True", data_dir, *shrunk)
    assert "dry run: nothing was written" in told
    commands = installed("s2f", "ablate", "--config=demo", "--print=commands").splitlines()
    assert len(commands) == len(ablations.VARIANTS) + 1
    assert all("--config=" in command for command in commands)


def test_a_run_animates_and_is_exported_and_examined(installed, saved, tmp_path):
    inputs = [f"--image={saved / 'still.png'}", f"--audio={saved / 'sound.wav'}"]
    run, video = f"--checkpoint={saved / 'run'}", tmp_path / "out.mp4"
    installed("s2f", "generate", run, *inputs, "--aligned", f"--output={video}")
    codecs, frames, _ = streams(video)
    assert codecs == ("h264", "aac") and frames > 1
    bundle = tmp_path / "bundle"
    formats = "--formats=stablehlo,onnx"
    installed("s2f", "export", run, f"--output={bundle}", formats, *inputs, "--aligned")
    assert {"model.safetensors", "run_bundle.py", "README.md"} <= {p.name for p in bundle.iterdir()}
    assert "jax" in installed("s2f", "doctor", f"--checkpoint={bundle}")


def test_a_model_in_it_speaks_by_its_name(installed, tmp_path):
    video = tmp_path / "out.mp4"
    installed("s2f", "generate", "--checkpoint=small", f"--output={video}")
    codecs, frames, _ = streams(video)
    assert codecs == ("h264", "aac") and frames > 1
    assert "exported as bfloat16" in installed("s2f", "doctor", "--checkpoint=small")


def test_the_authors_weights_are_converted_by_the_config_of_their_corpus(
    installed, saved, tmp_path
):
    from tests.s2f_jax.sda import torch_generator

    contents = torch_generator.contents(size=(16, 12))
    file = torch_generator.save(contents, str(tmp_path / "grid.dat"))
    installed("s2f", "convert", f"--sda={file}", f"--output={tmp_path / 'run'}")
    audio, video = f"--audio={saved / 'sound.wav'}", tmp_path / "out.mp4"
    still = f"--image={saved / 'still.png'}"
    converted = f"--checkpoint={tmp_path / 'run'}"
    installed("s2f", "generate", converted, still, audio, "--aligned", f"--output={video}")
    assert streams(video)[0] == ("h264", "aac")
