"""Models that come with the package: found by name, with an example and a notice of their own."""

import json
import shutil

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media import images, sound_file
from s2f_jax.apps.live_demo import demo
from s2f_jax.bundle import bundle, shipped
from s2f_jax.config import read
from s2f_jax.config.schema import fixed_fields
from s2f_jax.diagnostics.inputs import InputChecks
from s2f_jax.evaluation.lip_reader import LipReader
from s2f_jax.evaluation.sync_scorer import load_sync_scorer
from s2f_jax.export import export, parity
from s2f_jax.inference.animator import Animator
from s2f_jax.main import dispatch
from s2f_jax.runs.workdir import read_config
from tests.generating import streams
from tests.programs import ROOT
from tests.wav_files import wav

NOTICE = "This model is of one face; other portraits come out poorly."
MOST_BYTES = 12_000_000  # Of a model in the wheel.
RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """-> a folder with a crop and a sound."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "face.png").write_bytes(images.encode_png(STILL))
    wav(folder / "talk.wav", RNG.normal(0, 0.1, 8000).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def model(run_folder, files, tmp_path_factory):
    """A run exported as a model that ships."""
    folder = tmp_path_factory.mktemp("exported") / "one_face"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "CASES", ((1, 2, 2),))
        patch.setattr(parity, "TIMED_FRAMES", 2)
        patch.setattr(parity, "TIMED_RUNS", 1)
        export.export_bundle(
            str(run_folder),
            str(folder),
            formats="none",
            weights="bfloat16",
            image=str(files / "face.png"),
            audio=str(files / "talk.wav"),
            aligned=True,
            example=True,
            notice=NOTICE,
        )
    return folder


@pytest.fixture
def place(model, tmp_path, monkeypatch):
    """-> the empty folder we are in, with that model in the package."""
    shutil.copytree(model, tmp_path / "package" / "one_face")
    (tmp_path / "package" / "none").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def generate(*flags):
    return dispatch(["generate", "--output=out.mp4", *flags])


def test_a_model_that_ships_holds_its_weights_its_example_and_no_program(model):
    names = {path.name for path in model.iterdir()}
    data = {"config.json", "model.safetensors", "parity.json", "README.md", "SHA256SUMS"}
    assert names == data | {"still.png", "speech.wav"}
    card, config = (
        (model / "README.md").read_text(),
        json.loads((model / "config.json").read_text()),
    )
    assert f"**{NOTICE}**" in card and config["notice"] == NOTICE
    assert "`model.safetensors`, bfloat16, biases float32" in card
    assert "`still.png`" in card and "run_bundle" not in card and "Python files" not in card
    np.testing.assert_array_equal(images.read_image(model / "still.png"), STILL)
    speech = sound_file.read_audio(model / "speech.wav", 16000)
    assert len(speech) == 8000 and np.std(speech) == pytest.approx(0.1, rel=0.05)
    report = json.loads((model / "parity.json").read_text())
    assert report["weights_judged_on"] == "face.png under talk.wav"
    assert set(report["formats"]) == {"s2f_jax"}


def test_it_is_found_by_name_and_what_is_there_by_path_goes_first(place, model, run_folder):
    assert shipped.model_names() == ["one_face"]
    assert Animator.load("one_face").origin == shipped.FOLDER / "one_face"
    assert Animator.load("one_face").notice == NOTICE and Animator.load(run_folder).notice == ""
    shutil.copytree(model, place / "one_face")
    assert Animator.load("one_face").origin == type(Animator.load("one_face").origin)("one_face")


@pytest.mark.parametrize("name", ["one_fase", "runs/nothing", ""])
def test_neither_a_path_nor_a_name_is_told_with_the_names_there_are(place, name):
    sentence = r"no checkpoint at .*: give a run's workdir.* with this package \(one_face\)"
    if name:  # An empty path is the folder that we are in.
        with pytest.raises(UserError, match=sentence):
            Animator.load(name)
    with pytest.raises(UserError):
        Animator.load(name)


def test_it_speaks_without_a_picture_and_without_sound(place, files, capsys):
    assert generate("--checkpoint=one_face") == 0
    codecs, frames, _ = streams(place / "out.mp4")
    seconds = len(sound_file.read_audio(shipped.FOLDER / "one_face" / "speech.wav", 16000)) / 16000
    assert codecs == ("h264", "aac") and frames == np.ceil(25 * seconds)
    assert generate("--checkpoint=one_face", f"--audio={files / 'talk.wav'}") == 0
    assert NOTICE not in capsys.readouterr().err
    assert json.loads((place / "out.mp4.json").read_text())["model"]["run"] == "tiny"


def test_with_another_picture_its_notice_is_shown(place, files, capsys):
    inputs = f"--image={files / 'face.png'}", "--aligned"
    assert generate("--checkpoint=one_face", *inputs) == 0
    assert capsys.readouterr().err.count(f"one_face: {NOTICE}") == 1
    sound = f"--audio={files / 'talk.wav'}"
    flags = ("--checkpoint=one_face", sound, "--output=out.y4m")
    assert dispatch(["stream", *flags, *inputs]) == 0
    assert capsys.readouterr().err.count(NOTICE) == 1
    assert dispatch(["stream", *flags]) == 0
    assert NOTICE not in capsys.readouterr().err


def test_a_run_has_no_example(place, run_folder, capsys):
    assert generate(f"--checkpoint={run_folder}", "--audio=x.wav") == 2
    assert "--image is missing: " in capsys.readouterr().err
    assert generate(f"--checkpoint={run_folder}", "--image=x.png") == 2
    assert "--audio is missing: " in capsys.readouterr().err
    assert dispatch(["stream", f"--checkpoint={run_folder}"]) == 2
    assert "--image is missing: " in capsys.readouterr().err
    assert generate("--checkpoint=one_face", "--paste_back") == 2
    assert "--paste_back needs a whole picture: give one as --image" in capsys.readouterr().err


def test_doctor_says_what_it_is_for(place, tmp_path):
    findings = [str(found) for found in InputChecks(tmp_path).examine_checkpoint("one_face")]
    assert len(findings) == 2 and "exported as bfloat16" in findings[0] and NOTICE in findings[1]


def test_the_live_page_serves_it_where_there_is_no_run(place, capsys, monkeypatch):
    assert demo._default_checkpoint() == "one_face"
    assert "the model one_face, which comes with this package" in capsys.readouterr().err
    example = demo._example(shipped.FOLDER / "one_face")
    assert example and [path.name for path in example] == ["still.png", "speech.wav"]
    assert demo._example(place) is None
    (place / "runs" / "demo").mkdir(parents=True)
    assert demo._default_checkpoint() == "runs/demo"
    shutil.rmtree(place / "runs")
    monkeypatch.setattr(shipped, "FOLDER", place)
    with pytest.raises(UserError, match="there is no checkpoint at runs/demo: make one"):
        demo._default_checkpoint()


def test_it_is_no_run(place, capsys):
    assert dispatch(["export", "--checkpoint=one_face", "--output=again"]) == 2
    assert "bundle" in capsys.readouterr().err


def test_an_example_needs_both(run_folder, tmp_path):
    with pytest.raises(UserError, match="--example puts --image and --audio into the bundle"):
        export.export_bundle(str(run_folder), str(tmp_path / "out"), image="x.png", example=True)


def test_what_ships_is_whole_small_and_says_what_it_is_for():
    for name in shipped.model_names():
        folder = shipped.FOLDER / name
        config, _ = bundle.read_bundle(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert size <= MOST_BYTES and config.weights == "bfloat16" and config.notice
        assert shipped.example_file(name, shipped.STILL_FILE)
        assert shipped.example_file(name, shipped.SPEECH_FILE)
        assert (folder / "README.md").exists()


NETWORKS = {"lipreader_s1": LipReader.load, "syncnet_s1": load_sync_scorer}


def test_networks_are_found_by_name_and_what_is_there_by_path_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = shipped.FOLDER / "lipreader_s1"
    assert shipped.resolve_network("lipreader_s1") == own
    assert shipped.resolve_network("runs/lipreader_s1") == "runs/lipreader_s1"
    assert shipped.resolve_network("") == ""
    assert shipped.resolve_network("grid_s1") == "grid_s1"  # A model.
    (tmp_path / "lipreader_s1").mkdir()
    assert shipped.resolve_network("lipreader_s1") == "lipreader_s1"


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_ship_are_those_of_their_configs_and_tell_nothing_of_where_they_were_made(
    name,
):
    folder = shipped.resolve_network(name)
    assert NETWORKS[name](folder)
    own, shipped_config = read.load_config(f"configs/{name}.py", []), read_config(folder)
    assert fixed_fields(own, own.task) == fixed_fields(shipped_config, own.task)
    paths = [{"data": c.data.dir, **c.readers} for c in (own, shipped_config)]
    assert paths[0] == paths[1]
    for path in folder.rglob("*"):
        assert path.is_dir() or str(ROOT).encode() not in path.read_bytes()
    assert json.loads((folder / "evaluation" / "test" / "report.json").read_text())["rows"]
