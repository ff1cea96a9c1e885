"""`convert`: it refuses in one sentence, and leaves nothing half-written."""

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from s2f_jax import main
from s2f_jax.config import read
from s2f_jax.runs import workdir
from s2f_jax.sda import convert
from tests.s2f_jax.sda import torch_generator
from tests.tiny_generator import tiny_config, tiny_run

torch = pytest.importorskip("torch")


@pytest.fixture
def contents():
    return torch_generator.contents()


@pytest.fixture
def refusal(tmp_path, capsys):
    """Saves a file, converts it, which must fail -> its one sentence; nothing new is left."""

    def refusal(contents, *more):
        file = torch_generator.save(contents, tmp_path / "x.dat")
        before = sorted(tmp_path.rglob("*"))
        arguments = ["convert", f"--sda={file}", f"--output={tmp_path / 'run'}", *more]
        assert main.dispatch(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("s2f: ") and error.count("\n") == 1, error
        assert sorted(tmp_path.rglob("*")) == before
        return error

    return refusal


FACE = np.zeros((68, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio_rate": "50000"}, "audio_rate='50000' must be an integer in [1000, 192000]"),
        (
            {"audio_rate": 44100, "audio_feat_samples": 8820},
            "audio_rate=44100: must be a multiple of 1000",
        ),
        ({"audio_rate": True}, "audio_rate=True must be an integer"),
        ({"video_rate": 29.97}, "video_rate=29.97 must be an integer in [1, 240]"),
        ({"video_rate": float("nan")}, "video_rate=nan must be an integer"),
        ({"id_enc_dim": 0}, "id_enc_dim=0 must be an integer"),
        ({"id_enc_dim": 10**400}, "id_enc_dim=1000"),
        ({"aux_latent": None}, "aux_latent=None must be an integer"),
        ({"rnn_gen_dim": 16}, "aud_enc_dim=8 and rnn_gen_dim=16 must be equal"),
        ({"audio_feat_samples": 9999}, "audio_feat_len=0.2 is not the seconds of 9999 samples"),
        ({"audio_feat_len": 1}, "audio_feat_len=1 is not the seconds of 10000 samples"),
        (
            {"audio_feat_samples": 10025, "audio_feat_len": 0.2005},
            "must be a whole number of milliseconds",
        ),
        ({"img_size": 128}, "img_size=128 must be height and width in [8, 1024]"),
        ({"img_size": (128, 96, 3)}, "img_size=(128, 96, 3) must be height and width"),
        ({"img_size": (1 << 40, 96)}, "img_size=(1099511627776, 96) must be height and width"),
        ({"img_size": (60, 48)}, "must be divisible by 8"),
        ({"sequential_noise": False}, "sequential_noise=False must be True"),
        ({"encoder": torch.zeros(3)}, "encoder is a Tensor, not a dictionary of tensors"),
        ({"mean_face": FACE[:5]}, "mean_face (float64 [5, 2]) must be 68 points"),
        ({"mean_face": FACE * np.nan}, "mean_face (float64 [68, 2]) must be 68 points, the stable"),
        ({"mean_face": FACE}, "must be five points"),
        ({"mean_face": "mean"}, "mean_face ('mean') must be 68 points"),
    ],
)
def test_an_invalid_header_is_refused(refusal, contents, changes, message):
    error = refusal(contents | changes)
    assert message in error and "x.dat" in error


@pytest.mark.parametrize("change", ["skips=False", "copy_path=True", "recurrent=False"])
def test_a_config_of_other_networks_is_refused(refusal, contents, change):
    error = refusal(contents, f"--config.model.{change}")
    assert (
        f"--config has a generator that the authors' program does not support (model.{change})"
        in (error)
    )


def test_every_missing_key_is_named(refusal, contents):
    for key in ("video_rate", "encoder_id"):
        del contents[key]
    assert "(video_rate is missing; encoder_id is missing): give another" in refusal(contents)
    assert "(it holds a list, not a dictionary)" in refusal([1, 2])
    assert "(audio_rate is missing; video_rate is missing;" in refusal({})


def test_every_invalid_tensor_is_named(refusal, contents):
    """With the expected and the actual shape, all in one sentence."""
    del contents["encoder"]["rnn.bias_hh_l1"]
    contents["encoder_id"]["cl.0.0.weight"] = torch.zeros(4, 3, 5, 5)
    contents["encoder_id"]["cl.1.1.num_batches_tracked"] = torch.zeros(2)
    contents["generator"]["dcl.9.weight"] = torch.zeros(2, 3)
    contents["generator"]["dcl.0.1.weight"] = torch.zeros(8, dtype=torch.float64)
    contents["generator"]["dcl.0.1.bias"] = "eight"
    contents["generator"]["dcl.0.1.running_mean"] = torch.zeros(8, dtype=torch.bfloat16)
    contents["generator"]["dcl.0.1.running_var"][2] = -1
    contents["generator"]["dcl.2.weight"][0, 0, 0, 0] = np.nan
    error = refusal(contents)
    for each in (
        "encoder/rnn.bias_hh_l1 is missing, expected [24]",
        "encoder_id/cl.0.0.weight is [4, 3, 5, 5], expected [4, 3, 4, 4]",
        "encoder_id/cl.1.1.num_batches_tracked is [2], expected an int64 scalar",
        "generator/dcl.9.weight is unexpected, [2, 3]",
        "generator/dcl.0.1.weight is float64 [8], expected [8]",
        "generator/dcl.0.1.bias is a str, expected [8]",
        "generator/dcl.0.1.running_mean is a Tensor, expected [8]",
        "generator/dcl.0.1.running_var is a variance and goes down to -1",
        "generator/dcl.2.weight has 1 of 192 values that are NaN or infinite",
    ):
        assert each in error
    assert error.count(";") == 8


def test_a_value_that_expands_into_a_billion_is_refused_at_once(refusal, contents):
    laughs = ["ha"]
    for _ in range(60):
        laughs = [laughs, laughs]
    for key in ("video_rate", "img_size", "mean_face", "sequential_noise"):
        assert key in refusal(contents | {key: laughs})


def test_a_huge_broadcast_tensor_is_not_copied(refusal, contents):
    contents["encoder"]["encoder.cl.1.bias"] = torch.zeros(1).expand(1 << 40)
    assert "encoder.cl.1.bias is [1099511627776], expected [4]" in refusal(contents)


def test_a_folder_in_use_is_refused(refusal, contents, tmp_path):
    (tmp_path / "run").write_text("")
    assert "run is a file: give a folder that is not there yet" in refusal(contents)
    (tmp_path / "run").unlink()
    (tmp_path / "run" / "old").mkdir(parents=True)
    assert "run is not empty: give a folder that is not there yet" in refusal(contents)
    assert "is remote: give a local folder" in refusal(contents, "--output=gs://bucket/run")
    (tmp_path / "file").write_text("")
    assert "cannot be written (Not a directory)" in refusal(
        contents, f"--output={tmp_path}/file/run"
    )


def test_a_failed_conversion_leaves_nothing(contents, tmp_path, monkeypatch):
    file = torch_generator.save(contents, tmp_path / "x.dat")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert, "_write_retained", full)
    assert main.dispatch(["convert", f"--sda={file}", f"--output={tmp_path / 'run'}"]) == 1
    assert list(tmp_path.iterdir()) == [file]


def test_ignored_keys_are_reported(contents, tmp_path, capsys):
    file = torch_generator.save(contents | {"epoch": 3}, tmp_path / "timit.dat")
    (tmp_path / "run").mkdir()  # Empty folders are allowed.
    assert main.dispatch(["convert", f"--sda={file}", f"--output={tmp_path / 'run'}"]) == 0
    assert "ignored keys that a generator does not need: epoch\n" in capsys.readouterr().out
    assert workdir.read_config(tmp_path / "run").data.corpus == "tcd_timit"  # By the file's name.


@pytest.mark.parametrize(
    ("name", "corpus"),
    [("grid", "grid"), ("crema", "crema_d"), ("timit", "tcd_timit"), ("x", "grid")],
)
def test_a_file_s_default_config_has_the_preset_sda(name, corpus):
    config = read.load_config(convert.default_config(f"some/{name}.dat"), ())
    assert config.data.corpus == corpus
    assert (config.loss.reconstruction, config.model.id_features) == (600, 128)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=a"], "give either --sda=FILE, or --checkpoint=DIR to convert a model back"),
        (
            ["--output=a", "--sda=b", "--checkpoint=c"],
            "give either --sda=FILE, or --checkpoint=DIR",
        ),
        (["--sda=b"], "--output"),
        (["--output=a", "--sda=nope.dat"], "nope.dat cannot be read (No such file or directory)"),
        (["--output=a", "--checkpoint=nope"], "there is no checkpoint at nope"),
        (["--output=a", "--checkpoint=nope", "--sda="], "there is no checkpoint at nope"),
        (["--output=a", "--checkpoint=nope", "--config.seed=1"], "is not a flag of this command"),
        (["--output=a", "--sda=b", "--nope"], "no flag --nope"),
        (["--output=a", "--sda=b", "--config=c.py"], "--config=c.py: must be a file"),
    ],
)
def test_invalid_commands_are_refused(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.dispatch(["convert", *arguments]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("field", "value"),
    [("copy_path", True), ("recurrent", False), ("skips", False), ("noise_features", 0)],
)
def test_a_generator_that_their_program_does_not_support_is_refused(tmp_path, field, value):
    config = tiny_config()
    config.model[field] = value
    folder = tiny_run(tmp_path / "run", config)
    with pytest.raises(UserError, match=rf"does not support \(model\.{field}={value}\)"):
        convert.to_sda(str(folder), str(tmp_path / "x.dat"))
    assert not (tmp_path / "x.dat").exists()


def test_an_existing_output_file_is_refused(run_folder, tmp_path):
    (tmp_path / "grid.dat").write_text("precious")
    with pytest.raises(UserError, match=r"grid\.dat exists: give another name"):
        convert.to_sda(str(run_folder), str(tmp_path / "grid.dat"))
    assert (tmp_path / "grid.dat").read_text() == "precious"


def test_a_damaged_file_of_retained_values_is_refused(run_folder, tmp_path):
    for name in ("config.json", "checkpoints"):
        (tmp_path / name).symlink_to(run_folder / name)
    for text in ("", "nothing", "PK"):
        (tmp_path / convert.RETAINED_FILE).write_text(text)
        with pytest.raises(UserError, match=r"sda\.npz is damaged .*convert the authors' file"):
            convert.to_sda(str(tmp_path), str(tmp_path / "x.dat"))
