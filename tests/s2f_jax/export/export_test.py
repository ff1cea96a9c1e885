import hashlib
import json
import shutil
import sys

import numpy as np
import pytest
import yaml
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.media import decode, images, writer
from s2f_jax import main
from s2f_jax.bundle import shipped
from s2f_jax.config import schema
from s2f_jax.export import model_card, parity
from s2f_jax.export.export import export_bundle
from s2f_jax.inference.animator import Animator
from s2f_jax.runs import workdir
from tests.programs import ROOT
from tests.tiny_generator import tiny_config, tiny_run, tiny_state

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)


def measured(folder):
    return json.loads((folder / "parity.json").read_text())


@pytest.fixture
def quick(monkeypatch):
    """Compares on next to nothing, for tests of something else."""
    monkeypatch.setattr(parity, "CASES", ((1, 2, 2),))
    monkeypatch.setattr(parity, "TIMED_FRAMES", 2)
    monkeypatch.setattr(parity, "TIMED_RUNS", 1)


@pytest.mark.parametrize("name", ["s2f_jax", "stablehlo", "onnx"])
def test_every_format_is_the_checkpoint(bundle_folder, name):
    cases = measured(bundle_folder)["formats"][name]["cases"]
    seen = {(case["input"], case["batch"], case["frames"]) for case in cases}
    inputs = {of_input for of_input, _, _ in seen}
    assert "a drawn face under a synthetic voice" in inputs and len(inputs) == 2
    sizes = [(1, 1), (1, 75), (3, 1), (3, 75)]
    assert seen == {(of_input, *size) for of_input in inputs for size in sizes}
    assert all(case["difference"] < 1e-4 for case in cases)


def test_a_wrong_weight_shows_in_the_report(bundle_folder, run_folder, tmp_path):
    """Or a report of small differences would say nothing."""
    from s2f_jax.bundle import bundle, bundle_runtime
    from s2f_jax.models import fused_generator
    from s2f_jax.runs import restore

    trained = restore.restore_generator(run_folder)
    folder = shutil.copytree(bundle_folder, tmp_path / "bundle")
    weights = bundle_runtime.read_weights(folder)
    name = "frame_decoder.stages.0.double.kernel"
    wrong = bundle.to_safetensors(weights | {name: np.float32(1.01) * weights[name]})
    (folder / "model.safetensors").write_bytes(wrong)
    bundle.write_checksums(folder)
    found = parity.measure_parity(
        folder,
        trained.generator,
        trained.variables,
        bundle.flatten_weights(fused_generator.fuse_weights(trained.generator, trained.variables)),
        {"stablehlo": "jax", "onnx": "onnx"},
        [parity.noise_example(trained.generator)],
    )
    assert all(of_format["difference"] > 1e-3 for of_format in found["formats"].values())
    assert found["formats"]["onnx"]["difference_same_weights"] < 1e-4


def test_every_file_has_a_checksum(bundle_folder):
    sums = dict(
        line.split("  ")[::-1] for line in (bundle_folder / "SHA256SUMS").read_text().splitlines()
    )
    files = {p.relative_to(bundle_folder).as_posix(): p for p in bundle_folder.rglob("*")}
    files = {name: path for name, path in files.items() if path.is_file()}
    assert sums.keys() == files.keys() - {"SHA256SUMS"}
    for name, value in sums.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == value
    wanted = [f"{name}.stablehlo" for name in ("arrange", "identify", "animate", "step")]
    wanted += [
        "model.safetensors",
        "identity.onnx",
        "audio_step.onnx",
        "decode.onnx",
        "bundle_runtime.py",
        "run_bundle.py",
        "README.md",
    ]
    assert set(wanted) <= sums.keys()


def test_no_file_names_a_folder_of_this_machine(bundle_folder, run_folder):
    code, run = ROOT, run_folder.parent
    for path in bundle_folder.rglob("*.*"):
        data = path.read_bytes()
        assert not [folder for folder in (code, run) if str(folder).encode() in data], path.name


def test_the_config_keeps_the_runs_sections(bundle_folder):
    config = json.loads((bundle_folder / "config.json").read_text())
    own = schema.as_json(tiny_config())
    assert config["model"] == own["model"] and config["data"] == own["data"]
    assert (config["stride"], config["window"], config["frames_per_s"]) == (640, 2560, 25)
    assert (config["source"]["run"], config["source"]["step"]) == ("tiny", 3)


@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
def test_lossy_weights_are_smaller_and_their_loss_is_reported(run_folder, tmp_path, quick, kind):
    folder = tmp_path / kind
    export_bundle(str(run_folder), str(folder), "stablehlo,onnx", kind)
    report = measured(folder)
    of_weights = report["weights"]
    sizes = [of_weights[name]["bytes"] for name in ("float32", "bfloat16", "int8")]
    assert sizes == sorted(sizes, reverse=True)
    assert (folder / "model.safetensors").stat().st_size == of_weights[kind]["bytes"]
    losses = [of_weights[name]["mean_difference"] for name in ("float32", "bfloat16", "int8")]
    assert losses == sorted(losses) and losses[0] < 1e-6 < losses[1]
    for name in ("s2f_jax", "stablehlo", "onnx"):
        found = report["formats"][name]
        assert found["difference_same_weights"] < 1e-4
        assert found["difference"] == pytest.approx(of_weights[kind]["difference"], rel=0.5)
    Animator.load(folder)
    assert f"| weights | `model.safetensors`, {kind}" in (folder / "README.md").read_text()


def front_matter(folder):
    _, front, _ = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front)


def test_the_card_is_what_the_hub_reads(bundle_folder):
    front = front_matter(bundle_folder)
    assert front["license"] == "other" and front["license_name"]
    assert front["library_name"] == "s2f_jax" and front["pipeline_tag"] == "image-to-video"
    assert {"stablehlo", "onnx", "safetensors"} <= set(front["tags"])
    assert "model-index" not in front
    text = (bundle_folder / "README.md").read_text()
    headings = ["How to use", "Training data", "Metrics", "Parity with the checkpoint"]
    headings += ["Intended use and misuse", "Licence", "Provenance", "Citation"]
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == headings
    assert "Not evaluated" in text and "`demo`" in text and "has no `run.json`" in text


def report_of(checkpoint):
    cell = {"mean": 27.5, "low": 27.0, "high": 28.0, "clips": 9, "unscored": {}}
    return {
        "corpus": "demo",
        "split": "test",
        "conventions": {"run": "tiny", "checkpoint": checkpoint},
        "rows": {"model": {"psnr": cell}, "frozen_still": {"psnr": cell | {"mean": 25.7}}},
    }


@pytest.mark.parametrize("checkpoint", ["3", "2"])
def test_the_card_is_filled_from_the_run(run_folder, tmp_path, quick, checkpoint):
    run = shutil.copytree(run_folder, tmp_path / "tiny")
    workdir.write_provenance(7, epath.Path(run), 0)
    (run / "evaluation" / "test").mkdir(parents=True)
    (run / "evaluation" / "test" / "report.json").write_text(json.dumps(report_of(checkpoint)))
    export_bundle(str(run), str(tmp_path / "out"), licence="cc-by-4.0")
    front, text = front_matter(tmp_path / "out"), (tmp_path / "out" / "README.md").read_text()
    assert front["license"] == "cc-by-4.0" and "The weights: cc-by-4.0." in text
    assert "| Model | 27.50 [27.00, 28.00] |" in text and "Not evaluated" not in text
    assert workdir.describe(7)["git"]["commit"] in text and '"seed": 7' in text
    another = ", of the checkpoint of step 2, not of this one"
    assert (another in text) == (checkpoint == "2")
    if checkpoint == "2":  # Then they are not this model's.
        assert "model-index" not in front
    else:
        (result,) = front["model-index"][0]["results"]
        assert result["metrics"] == [{"type": "psnr", "name": "PSNR", "value": 27.5}]


def test_the_card_of_converted_weights_says_where_they_are_from(run_folder, tmp_path, quick):
    run = shutil.copytree(run_folder, tmp_path / "tiny")
    made_from = {"file": "grid.dat", "sha256": "ab" * 32}
    workdir.write_provenance(0, epath.Path(run), 0, converted=made_from)
    export_bundle(str(run), str(tmp_path / "out"))
    text = (tmp_path / "out" / "README.md").read_text()
    assert "converted to s2f_jax" in text and "trained with s2f_jax" not in text
    assert f"from the file `grid.dat` (SHA-256 `{'ab' * 32}`)" in text


def test_scores_are_not_passed_off_as_those_of_lossy_weights(run_folder, tmp_path, quick):
    run = shutil.copytree(run_folder, tmp_path / "tiny")
    (run / "evaluation" / "test").mkdir(parents=True)
    (run / "evaluation" / "test" / "report.json").write_text(json.dumps(report_of("3")))
    export_bundle(str(run), str(tmp_path / "out"), weights="int8")
    assert "model-index" not in front_matter(tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "of demo, with the run's float32 weights:" in text


def test_corpora_have_licences_in_the_card():
    folder = ROOT / "data_pipelines"
    corpora = {path.parent.name for path in folder.glob("*/*_dataset_builder.py")}
    assert corpora == set(model_card._CORPUS_LICENCES)


def test_the_card_of_the_model_that_ships_names_the_clips_that_it_learnt_from():
    card = (shipped.FOLDER / "grid_s1" / "README.md").read_text()
    assert "in the list `s1`" in card and "CC BY 4.0" in card and "knows one face" in card
    assert model_card._corpus("grid", {})["clips"] == ""
    assert card.count("\n## ") == card.count("\n\n## ")


def test_the_person_s_own_face_and_voice_are_compared_on(run_folder, tmp_path, quick):
    (tmp_path / "me.png").write_bytes(images.encode_png(STILL))
    speech = np.zeros((4, 16, 16, 3), np.uint8)
    sound = RNG.uniform(-0.5, 0.5, 2560)
    writer.write_video(tmp_path / "me.mp4", speech, 25, sound, 16000)
    files = {"image": str(tmp_path / "me.png"), "audio": str(tmp_path / "me.mp4")}
    export_bundle(str(run_folder), str(tmp_path / "out"), **files, aligned=True)
    cases = measured(tmp_path / "out")["formats"]["stablehlo"]["cases"]
    assert [case["input"] for case in cases] == ["noise for still and sound", "me.png under me.mp4"]


def test_the_command_line_animates_by_a_bundle(bundle_folder, tmp_path):
    (tmp_path / "still.png").write_bytes(images.encode_png(STILL))
    writer.write_video(
        tmp_path / "a.mp4", np.zeros((4, 16, 16, 3), np.uint8), 25, np.zeros(2560), 16000
    )
    flags = [f"--checkpoint={bundle_folder}", f"--image={tmp_path / 'still.png'}", "--aligned"]
    flags += [f"--audio={tmp_path / 'a.mp4'}", f"--output={tmp_path / 'out.mp4'}"]
    assert main.dispatch(["generate", *flags]) == 0
    assert len(decode.decode_clip(tmp_path / "out.mp4").frames) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"formats": "coreml"},
            "'coreml' is not one of the formats: give some of stablehlo, onnx, savedmodel, tflite",
        ),
        ({"formats": "onnx,,"}, "--formats: '' is not one of"),
        ({"weights": "int4"}, "--weights=int4: must be one of float32, bfloat16, int8"),
        ({"licence": "my own!"}, "--license=my own!: must be an identifier such as"),
        ({"image": "face.png"}, "--image and --audio go together"),
        ({"checkpoint": "nowhere"}, "no checkpoint at nowhere: give"),
        ({"image": "no.png", "audio": "no.wav"}, "no image file no.png"),
        ({"output": "gs://bucket/out"}, "is remote: give a local folder"),
    ],
)
def test_mistakes_are_reported_and_nothing_is_written(run_folder, tmp_path, options, message):
    given = {"checkpoint": str(run_folder), "output": str(tmp_path / "out")} | options
    with pytest.raises(UserError, match=message) as error:
        export_bundle(**given)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_existing_files_are_left_alone(run_folder, bundle_folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for output, message in ((tmp_path, "is not empty"), (tmp_path / "notes.txt", "is a file")):
        with pytest.raises(UserError, match=message):
            export_bundle(str(run_folder), str(output))
    with pytest.raises(UserError, match="is an exported bundle"):
        export_bundle(str(bundle_folder), str(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("onnx", "onnx", "export"),
        ("savedmodel", "tensorflow", "tensorflow"),
        ("tflite", "ai_edge_litert", "tensorflow"),
    ],
)
def test_without_its_package_a_format_is_reported(
    run_folder, tmp_path, monkeypatch, name, package, extra
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else True)
    remedy = rf"pip install 's2f_jax\[{extra}\]'"
    if package == "tensorflow" and sys.version_info >= (3, 14):
        remedy = "export with Python 3.13"
    message = rf"--formats={name} needs {package}: {remedy}"
    with pytest.raises(UserError, match=message):
        export_bundle(str(run_folder), str(tmp_path / "out"), formats=name)


def test_a_failure_half_way_leaves_nothing(run_folder, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parity, "measure_parity", full)
    with pytest.raises(OSError, match="No space left"):
        export_bundle(str(run_folder), str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_reported(tmp_path):
    state = tiny_state(tiny_config())
    state.params["generator"]["frame_decoder"]["start"]["kernel"] *= np.nan
    folder = tiny_run(tmp_path / "run", state=state)
    with pytest.raises(
        UserError, match=r"not finite \(params.frame_decoder.start.kernel\): give another"
    ):
        export_bundle(str(folder), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_format_beyond_the_tolerance_is_reported(
    run_folder, tmp_path, quick, monkeypatch, capsys
):
    monkeypatch.setattr(parity, "TOLERANCE", 1e-9)
    export_bundle(str(run_folder), str(tmp_path / "out"))
    stderr = capsys.readouterr().err
    assert "stablehlo differs by" in stderr and "more than 1e-09: see" in stderr
