"""`convert`: what it refuses, in one sentence, and that it leaves nothing half-written."""

import numpy as np
import pytest
import torch

from data_pipelines.common.errors import UserError
from s2f_jax import main
from s2f_jax.config import read
from s2f_jax.runs import workdir
from s2f_jax.sda import convert
from tests.s2f_jax.sda import torch_generator
from tests.tiny_generator import tiny_config, tiny_run


@pytest.fixture
def contents():
    return torch_generator.contents()


@pytest.fixture
def told(tmp_path, capsys):
    """Saves a file, converts it, which must fail -> its one sentence; nothing new is left."""

    def told(contents, *more):
        file = torch_generator.save(contents, tmp_path / "x.dat")
        before = sorted(tmp_path.rglob("*"))
        arguments = ["convert", f"--sda={file}", f"--output={tmp_path / 'run'}", *more]
        assert main.dispatch(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("s2f: ") and error.count("\n") == 1, error
        assert sorted(tmp_path.rglob("*")) == before
        return error

    return told


FACE = np.zeros((68, 2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"audio_rate": "50000"}, "audio_rate='50000' is no whole number from 1000 to 192000"),
        ({"audio_rate": 44100, "audio_feat_samples": 8820}, "44100 is not a multiple of 1000"),
        ({"audio_rate": True}, "audio_rate=True is no whole number"),
        ({"video_rate": 29.97}, "video_rate=29.97 is no whole number from 1 to 240"),
        ({"video_rate": float("nan")}, "video_rate=nan is no whole number"),
        ({"id_enc_dim": 0}, "id_enc_dim=0 is no whole number"),
        ({"id_enc_dim": 10**400}, "id_enc_dim=1000"),
        ({"aux_latent": None}, "aux_latent=None is no whole number"),
        ({"rnn_gen_dim": 16}, "aud_enc_dim=8 and rnn_gen_dim=16 differ"),
        ({"audio_feat_samples": 9999}, "audio_feat_len=0.2 is not the seconds of 9999 samples"),
        ({"audio_feat_len": 1}, "audio_feat_len=1 is not the seconds of 10000 samples"),
        ({"audio_feat_samples": 10025, "audio_feat_len": 0.2005}, "not a whole number of millisec"),
        ({"img_size": 128}, "img_size=128 is no height and width from 8 to 1024"),
        ({"img_size": (128, 96, 3)}, "img_size=(128, 96, 3) is no height and width"),
        ({"img_size": (1 << 40, 96)}, "img_size=(1099511627776, 96) is no height and width"),
        ({"img_size": (60, 48)}, "cannot be halved"),
        ({"sequential_noise": False}, "sequential_noise=False, wanted True"),
        ({"encoder": torch.zeros(3)}, "encoder is a Tensor, not a dictionary of tensors"),
        ({"mean_face": FACE[:5]}, "mean_face (float64 [5, 2]) is not 68 points"),
        ({"mean_face": FACE * np.nan}, "mean_face (float64 [68, 2]) is not 68 points whose"),
        ({"mean_face": FACE}, "is no face: give five points"),
        ({"mean_face": "mean"}, "mean_face ('mean') is not 68 points"),
    ],
)
def test_a_header_that_is_none_is_told(told, contents, changes, said):
    error = told(contents | changes)
    assert said in error and "x.dat" in error


@pytest.mark.parametrize("change", ["skips=False", "copy_path=True", "recurrent=False"])
def test_a_config_of_other_networks_is_told(told, contents, change):
    error = told(contents, f"--config.model.{change}")
    assert (
        f"--config has a generator that the authors' program has no place for (model.{change})"
        in (error)
    )


def test_every_missing_key_is_told(told, contents):
    for key in ("video_rate", "encoder_id"):
        del contents[key]
    assert "(video_rate is missing; encoder_id is missing): give another" in told(contents)
    assert "(it holds a list, not a dictionary)" in told([1, 2])
    assert "(audio_rate is missing; video_rate is missing;" in told({})


def test_every_tensor_that_is_not_as_it_should_be_is_told(told, contents):
    """With the shape wanted and the shape given, all in one sentence."""
    del contents["encoder"]["rnn.bias_hh_l1"]
    contents["encoder_id"]["cl.0.0.weight"] = torch.zeros(4, 3, 5, 5)
    contents["encoder_id"]["cl.1.1.num_batches_tracked"] = torch.zeros(2)
    contents["generator"]["dcl.9.weight"] = torch.zeros(2, 3)
    contents["generator"]["dcl.0.1.weight"] = torch.zeros(8, dtype=torch.float64)
    contents["generator"]["dcl.0.1.bias"] = "eight"
    contents["generator"]["dcl.0.1.running_mean"] = torch.zeros(8, dtype=torch.bfloat16)
    contents["generator"]["dcl.0.1.running_var"][2] = -1
    contents["generator"]["dcl.2.weight"][0, 0, 0, 0] = np.nan
    error = told(contents)
    for each in (
        "encoder/rnn.bias_hh_l1 is missing, wanted [24]",
        "encoder_id/cl.0.0.weight is [4, 3, 5, 5], wanted [4, 3, 4, 4]",
        "encoder_id/cl.1.1.num_batches_tracked is [2], wanted one whole number (int64)",
        "generator/dcl.9.weight is not wanted, [2, 3] given",
        "generator/dcl.0.1.weight is float64 [8], wanted [8]",
        "generator/dcl.0.1.bias is a str, wanted [8]",
        "generator/dcl.0.1.running_mean is a Tensor, wanted [8]",
        "generator/dcl.0.1.running_var is a variance and goes down to -1",
        "generator/dcl.2.weight has 1 of 192 values that are NaN or infinite",
    ):
        assert each in error
    assert error.count(";") == 8


def test_a_value_that_unfolds_into_a_billion_is_told_at_once(told, contents):
    laughs = ["ha"]
    for _ in range(60):
        laughs = [laughs, laughs]
    for key in ("video_rate", "img_size", "mean_face", "sequential_noise"):
        assert key in told(contents | {key: laughs})


def test_a_shape_that_pretends_to_be_large_is_not_copied(told, contents):
    contents["encoder"]["encoder.cl.1.bias"] = torch.zeros(1).expand(1 << 40)
    assert "encoder.cl.1.bias is [1099511627776], wanted [4]" in told(contents)


def test_a_folder_that_is_not_free_is_refused(told, contents, tmp_path):
    (tmp_path / "run").write_text("")
    assert "run is a file: give a folder that is not there yet" in told(contents)
    (tmp_path / "run").unlink()
    (tmp_path / "run" / "old").mkdir(parents=True)
    assert "run is not empty: give a folder that is not there yet" in told(contents)
    assert "is remote: give a local folder" in told(contents, "--output=gs://bucket/run")
    (tmp_path / "file").write_text("")
    assert "cannot be written (Not a directory)" in told(contents, f"--output={tmp_path}/file/run")


def test_what_is_begun_and_fails_leaves_nothing(contents, tmp_path, monkeypatch):
    file = torch_generator.save(contents, tmp_path / "x.dat")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert, "_write_kept", full)
    assert main.dispatch(["convert", f"--sda={file}", f"--output={tmp_path / 'run'}"]) == 1
    assert list(tmp_path.iterdir()) == [file]


def test_keys_that_no_generator_needs_are_passed_over_aloud(contents, tmp_path, capsys):
    file = torch_generator.save(contents | {"epoch": 3}, tmp_path / "timit.dat")
    (tmp_path / "run").mkdir()  # Empty: free.
    assert main.dispatch(["convert", f"--sda={file}", f"--output={tmp_path / 'run'}"]) == 0
    assert "passed over, since no generator needs it: epoch\n" in capsys.readouterr().out
    assert workdir.read_config(tmp_path / "run").data.corpus == "tcd_timit"  # By the file's name.


@pytest.mark.parametrize(
    ("name", "corpus"),
    [("grid", "grid"), ("crema", "crema_d"), ("timit", "tcd_timit"), ("x", "grid")],
)
def test_a_file_s_config_is_of_the_preset_sda(name, corpus):
    config = read.load_config(convert.config_of(f"some/{name}.dat"), ())
    assert config.data.corpus == corpus
    assert (config.loss.reconstruction, config.model.id_features) == (600, 128)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output=a"], "give either --sda=FILE, or --checkpoint=DIR to convert a model back"),
        (["--output=a", "--sda=b", "--checkpoint=c"], "give either --sda=FILE, or --checkpoint=DIR"),
        (["--sda=b"], "--output"),
        (["--output=a", "--sda=nope.dat"], "nope.dat cannot be read (No such file or directory)"),
        (["--output=a", "--checkpoint=nope"], "there is no checkpoint at nope"),
        (["--output=a", "--checkpoint=nope", "--sda="], "there is no checkpoint at nope"),
        (["--output=a", "--checkpoint=nope", "--config.seed=1"], "is not a flag of this command"),
        (["--output=a", "--sda=b", "--nope"], "no flag --nope"),
        (["--output=a", "--sda=b", "--config=c.py"], "--config=c.py is not a file"),
    ],
)
def test_a_command_that_is_none_is_told(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.dispatch(["convert", *arguments]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("field", "value"),
    [("copy_path", True), ("recurrent", False), ("skips", False), ("noise_features", 0)],
)
def test_a_generator_that_their_program_has_no_place_for_is_told(tmp_path, field, value):
    config = tiny_config()
    config.model[field] = value
    folder = tiny_run(tmp_path / "run", config)
    with pytest.raises(UserError, match=rf"has no place for \(model\.{field}={value}\)"):
        convert.to_sda(str(folder), str(tmp_path / "x.dat"))
    assert not (tmp_path / "x.dat").exists()


def test_a_name_that_is_taken_is_refused(run_folder, tmp_path):
    (tmp_path / "grid.dat").write_text("precious")
    with pytest.raises(UserError, match=r"grid\.dat exists: give another name"):
        convert.to_sda(str(run_folder), str(tmp_path / "grid.dat"))
    assert (tmp_path / "grid.dat").read_text() == "precious"


def test_damaged_leftovers_of_a_conversion_are_told(run_folder, tmp_path):
    for name in ("config.json", "checkpoints"):
        (tmp_path / name).symlink_to(run_folder / name)
    for text in ("", "nothing", "PK"):
        (tmp_path / convert.KEPT).write_text(text)
        with pytest.raises(UserError, match=r"sda\.npz is damaged .*convert the authors' file"):
            convert.to_sda(str(tmp_path), str(tmp_path / "x.dat"))
