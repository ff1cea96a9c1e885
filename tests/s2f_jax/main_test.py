"""The command line: whatever a person types ends in the right result or in one sentence."""

import json

import numpy as np
import pytest
from etils import epath

from data_pipelines import prepare
from data_pipelines.common.errors import UserError
from data_pipelines.grid import zenodo
from data_pipelines.media import decode, images, writer
from data_pipelines.quality import check
from s2f_jax import main, train
from s2f_jax.cli import commands
from s2f_jax.config import read, schema
from s2f_jax.runs import workdir
from s2f_jax.runs.checkpoint import Checkpoints
from tests.programs import ROOT

CONFIGS = ROOT / "configs"
DEMO, GRID = f"--config={CONFIGS}/demo.py", f"--config={CONFIGS}/grid.py"


@pytest.fixture
def told(capsys, tmp_path, monkeypatch):
    """Runs a command that must fail -> its one sentence; nothing is left in the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no_shards"))

    def told(*arguments):
        before = sorted(tmp_path.rglob("*"))
        assert main.dispatch([str(argument) for argument in arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("s2f: ") and error.count("\n") == 1, error
        assert sorted(tmp_path.rglob("*")) == before
        return error

    return told


def test_no_arguments_are_answered_with_the_usage(capsys):
    assert main.dispatch([]) == 2
    assert capsys.readouterr().err.startswith("usage: s2f [COMMAND]")
    assert main.dispatch(["--help"]) == 0
    assert "generate" in capsys.readouterr().out


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_every_command_s_help_shows_an_example_that_it_accepts(command, capsys, monkeypatch):
    with pytest.raises(SystemExit) as end:
        main.dispatch([command, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert f"`python -m s2f_jax.main {command}`" in shown
    example = shown[shown.index(f"example: s2f {command} ") :].splitlines()[0].split()[2:]
    accepted = []
    replaced = commands.COMMANDS[command]._replace(
        run=lambda options, rest: accepted.append((options, rest)) or 0
    )
    monkeypatch.setitem(commands.COMMANDS, command, replaced)
    assert main.dispatch(example) == 0
    assert accepted[0][1] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["prepair", DEMO],
            "prepair: is not a command; give one of prepare, train, evaluate, ablate, generate",
        ),
        (["train"], "--config is missing: give e.g. --config=configs/demo.py"),
        (["prepare"], "--config is missing"),
        (["evaluate"], "--config is missing"),
        (["--config"], "--config: needs a value; see `s2f train --help`"),
        (["--config="], "--config is missing"),
        ([DEMO, "--nope"], "no flag --nope: see --help"),
        ([DEMO, "nope"], "'nope' is neither a command nor a flag: see --help"),
        ([DEMO, "--work=x"], "no flag --work: see --help"),  # No abbreviations.
        ([DEMO, "--manual_dir=x"], "no flag --manual_dir: see --help"),
        (["--config=no/such.py"], "--config=no/such.py: must be a file, e.g. configs/demo.py"),
        ([f"--config={CONFIGS}"], "configs: must be a file, e.g. configs/demo.py"),
        ([f"{GRID}:foo"], "'foo' is not one of cvprw2019, sda"),
        (["generate"], "required flags are missing: --checkpoint, --output;"),
        (["generate", "--image=a.png", "--audio=a.wav", "--output=a.mp4"], "--checkpoint"),
        (
            ["evaluate", "--videos=a", "--reference=b"],
            "--videos: needs --reference=DIR and --output=DIR",
        ),
        (["evaluate", "--videos=a", "--reference=b", "--output=c"], "--videos=a is not a folder"),
        # As of a script whose variable is empty: a flag without a value is not given.
        (["evaluate", "--videos="], "--config is missing"),
        (
            ["evaluate", "--videos=a", "--reference=b", "--output=c", "--config="],
            "--videos=a is not a folder",
        ),
    ],
)
def test_a_command_that_is_none_is_told(told, arguments, said):
    assert said in told(*arguments)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("nope=1", "has no field 'nope'; configs/base.py has them all"),
        ("batch_sise=1", "did you mean --config.batch_size?"),
        ("height=64", "did you mean --config.data.height?"),
        ("data=3", "has no field 'data'"),
        ("batch_size=abc", "--config.batch_size=abc: must be an integer, e.g. 8"),
        ("batch_size=1.5", "--config.batch_size=1.5: must be an integer, e.g. 8"),
        (
            "discriminators.frame.weight=x",
            "--config.discriminators.frame.weight=x: must be a number",
        ),
        ("mirror=maybe", "--config.mirror=maybe: must be true or false, e.g. True"),
        ("batch_size", "--config.batch_size: give it as --config.FIELD=VALUE"),
        ("batch_size=0", "--config.batch_size=0: must be an integer in [1, inf)"),
        ("batch_size=-8", "--config.batch_size=-8: must be an integer in [1, inf)"),
        ("batch_size=6", "6 is not a multiple of the number of devices, 4: give one"),
        ("model.noise_std=nan", "--config.model.noise_std=nan: must be a number in [0.0, 1000.0]"),
        ("seed=-1", "--config.seed=-1: must be an integer in [0, 4294967295]"),
        ("seed=4294967296", "--config.seed=4294967296: must be an integer in [0, 42"),
        ("data.height=60", "data.height=60 and --config.data.width=48: must be divisible by 8"),
        ("data.height=0", "--config.data.height=0: must be an integer in [8, 8192]"),
        ("data.fps=24", "audio_rate=16000: must be a multiple of --config.data.fps=24"),
        ("data.audio_rate=44100", "audio_rate=44100: must be a multiple of 1000"),
        ("model.window=0.02", "window=0.02: must be a whole number of milliseconds that covers"),
        ("model.face=(1,)", "face=(1,): must be five points ((x,y),(x,y),...)"),
        ("model.window=0.1605", "window=0.1605: must be a whole number of milliseconds"),
        ("model.dtype=float16", "float16: must be one of float32, bfloat16"),
        ("discriminators.sequence.fusion=first", "first: must be one of last, step"),
        ("profile=11", "--config.profile=11: must be FIRST:LAST, steps counted from 1, e.g."),
        ("profile=0:2", "--config.profile=0:2: must be FIRST:LAST"),
        ("profile=3:2", "--config.profile=3:2: must be FIRST:LAST"),
        ("best_by=loss", "loss: must be one of psnr, ssim, psnr_mouth"),
        ("augment.gain_db=-6", "--config.augment.gain_db=-6.0: must be a number in [0, inf)"),
        ("augment.warp=1.5", "--config.augment.warp=1.5: must be a number in [0.0, 1.0]"),
        ("augment.color=-1", "--config.augment.color=-1.0: must be a number in [0.0, 1.0]"),
        ("balance_speakers=2", "--config.balance_speakers=2.0: must be a number in [0.0, 1.0]"),
        ("loss.rest_above=1.5", "--config.loss.rest_above=1.5: must be a number in [0.0, 1.0]"),
        ("lipreader.steps_per_frame=0", "steps_per_frame=0: must be an integer in [1, 8]"),
        ("augment.shift_ms=21", "shift_ms=21.0: must be a number in [0, 20], half a frame"),
        ("augment.snr_db=(9,)", "snr_db=(9,): must be (LOWEST,HIGHEST) in dB"),
        ("augment.snr_db=(30,10)", "snr_db=(30, 10): must be (LOWEST"),
        ("augment.snr_db=('a','b')", "snr_db=('a', 'b'): must be (LOWEST"),
    ],
)
def test_a_value_that_no_run_can_have_is_told_and_leaves_no_workdir(told, override, said):
    assert said in told(DEMO, f"--config.{override}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def get_config(:\n", "SyntaxError, invalid syntax (config.py, line 1); mend it there"),
        ("import nosuch\n", "No module named 'nosuch' ({path}, line 1); mend it there"),
        ("def get_config():\n    return 1 / 0\n", "division by zero ({path}, line 2); mend"),
        ("get_config = None\n", "has no get_config() that returns a config built on"),
        ("def get_config():\n    return {}\n", "has no get_config() that returns a config built"),
        ("", "has no get_config() that returns a config built on configs/base.py: write it like"),
    ],
)
def test_a_config_file_that_is_none_is_told(told, tmp_path, text, said):
    path = tmp_path / "config.py"
    path.write_text(text)
    assert said.format(path=path) in told(f"--config={path}")


@pytest.mark.parametrize("field", schema.RENAMED)
def test_a_config_file_with_a_field_of_an_older_schema_is_told(told, tmp_path, field):
    """It would be passed over in silence, and another run be trained than the file asks for."""
    path = tmp_path / "config.py"
    lines = ("def get_config():", "c = demo.get_config()", f"c.{field} = 0", "return c")
    path.write_text("from configs import demo\n" + "\n    ".join(lines))
    sentence = told(f"--config={path}")
    assert f"--config.{field}=0: is --config.{schema.RENAMED[field]} since schema 3" in sentence


def test_overrides_reach_the_command_with_their_types(monkeypatch):
    seen = []
    monkeypatch.setattr(train, "train", lambda *given: seen.append(given) or 0)
    overrides = [
        "--config.batch_size=4",
        "--config.batch_size=16",  # The last one counts.
        "--config.discriminators.frame.weight=2",
        "--noconfig.mirror",
        "--config.data.speakers=s1",
        "--config.data.speakers=s2",
        "--config.name=mine",
    ]
    assert main.dispatch([f"{DEMO}:sda", *overrides, "--data_dir=d"]) == 0
    config, *where = seen[0]
    assert where == ["runs/mine", "d", None, None]
    assert (config.batch_size, config.discriminators.frame.weight, config.mirror) == (
        16,
        2.0,
        False,
    )
    assert isinstance(config.discriminators.frame.weight, float) and config.data.speakers == (
        "s1",
        "s2",
    )
    assert config.data.audio_rate == 50000  # Of the preset.


def test_a_run_begins_with_one_other_run(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(train, "train", lambda *given: seen.append(given) or 0)
    assert main.dispatch([DEMO, "--branch_from=b"]) == 0
    assert main.dispatch([DEMO, "--start_from=a"]) == 0
    assert [given[-2:] for given in seen] == [(None, "b"), ("a", None)]
    assert main.dispatch([DEMO, "--branch_from=b", "--start_from=a"]) == 2
    assert "--branch_from=b takes more of a run than --start_from=a" in capsys.readouterr().err


def test_what_is_left_alone_is_the_file_s():
    assert read.load_config(f"{CONFIGS}/grid.py", []).batch_size == 16


def test_a_preset_of_a_config_of_its_own_keeps_what_the_config_is_for():
    small, full = (read.load_config(f"grid_real{preset}", []) for preset in ("", ":full"))
    assert (small.data.height, full.data.height, full.clip_frames) == (64, 128, 75)
    assert small.augment == full.augment and small.data.options == full.data.options
    with pytest.raises(UserError, match="preset 'half' is not one of"):
        read.load_config("grid_real:half", [])


# What the corpora say.


def test_prepare_says_what_it_cannot_find(told, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    # TFDS makes its folders before a builder looks at anything.
    with monkeypatch.context() as patched:
        patched.setattr("tensorflow_datasets.core.DatasetBuilder.download_and_prepare", _generate)
        assert "no folder none; --manual_dir should hold" in told(
            "prepare", GRID, "--manual_dir=none", "--data_dir=."
        )
        assert "No GRID clips of s1 to s34 in empty; it should hold" in told(
            "prepare", GRID, "--manual_dir=empty", "--data_dir=."
        )
        patched.setattr(zenodo, "_checksums", dict)  # As without a network.
        assert "try again with a network, or download the zips elsewhere" in told(
            "prepare", GRID, "--data_dir=."
        )
    assert "--data_dir=file is not a folder that can be written to" in told(
        "prepare", GRID, "--data_dir=file"
    )
    assert "no corpus 'gird'; config.data.corpus is one of crema_d, demo, folder, grid, " in told(
        "prepare", GRID, "--config.data.corpus=gird"
    )
    assert "corpus crema_d has no option 'heads'; leave it out" in told(
        "prepare", "--config=crema_d", "--config.data.options={'heads': 3}"
    )
    assert "corpus demo has no option 'heads'; leave it out" in told(
        "prepare", DEMO, "--config.data.options={'heads': 3}"
    )
    assert "must be divisible by" in told("prepare", GRID, "--config.data.height=100")


def test_a_check_without_shards_says_what_makes_them(told):
    sentence = told("prepare", "--check", GRID, "--data_dir=none")
    assert (
        "no shards in none" in sentence and "run `s2f prepare` with this config first" in sentence
    )


@pytest.mark.parametrize(("errors", "code"), [(0, 0), (2, 1)])
def test_a_check_fails_on_errors_and_not_on_warnings(errors, code, monkeypatch):
    found = {"errors": errors, "warnings": 3}
    monkeypatch.setattr(check, "check_shards", lambda data, manual_dir, data_dir: found)
    assert main.dispatch(["prepare", "--check", GRID, "--data_dir=any"]) == code


def _generate(builder, **kwargs):
    builder.find_clips(builder.data_path)


def test_without_shards_prepare_is_named(told):
    for command in ("train", "evaluate"):
        sentence = told(command, GRID)
        assert "no grid shards of the form 128x96_16000hz_25fps in" in sentence
        assert "run `s2f prepare` with this config first" in sentence


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """One clip a split."""
    folder = tmp_path_factory.mktemp("shards")
    config = read.load_config(f"{CONFIGS}/demo.py", SMALL)
    prepare.prepare(config.data, None, folder)
    return folder


COUNTS = {
    f"{split}_{what}": 1 for split in ("train", "val", "test") for what in ("speakers", "clips")
}
SMALL = [
    "--config.data.height=16",
    "--config.data.width=12",
    "--config.data.prepare_workers=1",
    f"--config.data.options={COUNTS}",
]


def test_evaluate_says_what_it_cannot_find(told, shards, tmp_path):
    where = ["evaluate", DEMO, *SMALL, f"--data_dir={shards}"]
    assert "no split 'dev' (it has: train, val, test)" in told(*where, "--split=dev")
    assert "there is no checkpoint at runs/demo: give a run's workdir" in told(*where)
    workdir.write_config(
        read.load_config(f"{CONFIGS}/demo.py", SMALL), epath.Path(tmp_path / "run")
    )
    assert "run holds no checkpoint: give the workdir" in told(*where, "--workdir=run")
    Checkpoints(tmp_path / "run").close()  # As of a run that has not saved yet.
    assert "run holds no checkpoint: give the workdir" in told(*where, "--workdir=run")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_workdir_that_cannot_be_one_is_told(told, shards, tmp_path, run_folder, command):
    (tmp_path / "file").write_text("")
    where = [command, DEMO, *SMALL, f"--data_dir={shards}"]
    assert "--workdir=file is a file, not a folder: choose" in told(*where, "--workdir=file")
    sentence = told(*where, f"--workdir={run_folder}")
    assert "holds a run of another config" in sentence
    assert "batch_size: 4 there, 8 now" in sentence and "data.height" not in sentence
    if command == "train":
        sentence = told(*where, "--workdir=file/run")
        assert "--workdir=file/run cannot be written (Not a directory): choose" in sentence


# The whole of generate, once; what can be wrong with its files is in generate_test.py.


@pytest.mark.parametrize(
    "names",
    [
        ("image", "audio", "output"),
        ("source_image", "driven_audio", "outfile"),
        ("face", "driving_audio", "outfile"),
    ],
)
def test_generate_writes_a_video_under_the_names_of_other_tools(
    run_folder, tmp_path, capsys, names
):
    still = np.random.default_rng(0).integers(0, 256, (16, 12, 3), np.uint8)
    (tmp_path / "still.png").write_bytes(images.encode_png(still))
    sound = np.random.default_rng(0).normal(0, 0.1, 640)
    writer.write_video(tmp_path / "talk.mp4", still[None], 25, sound, 16000)
    files = [tmp_path / name for name in ("still.png", "talk.mp4", "out.mp4")]
    flags = [f"--{name}={file}" for name, file in zip(names, files, strict=True)]
    arguments = ["generate", f"--checkpoint={run_folder}", *flags, "--aligned", "--seed=3"]
    assert main.dispatch(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path}/out.mp4: 1 frames, 0.04 s, 12x16\n" and shown.err == ""
    assert len(decode.decode_clip(tmp_path / "out.mp4").frames) == 1
    assert main.dispatch([*arguments, "--fast"]) == 2
    assert "--fast: is not a flag of this command; see --help" in capsys.readouterr().err


def test_generate_says_what_is_wrong(told, tmp_path, run_folder):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{")
    (tmp_path / "run" / "checkpoints").symlink_to(run_folder / "checkpoints")
    still = np.zeros((16, 12, 3), np.uint8)
    (tmp_path / "still.png").write_bytes(images.encode_png(still))
    writer.write_video(tmp_path / "talk.mp4", still[None], 25, np.zeros(640), 16000)
    rest = ["--image=still.png", "--audio=talk.mp4", "--output=out.mp4"]
    assert "no checkpoint at none: give a run's workdir" in told(
        "generate", "--checkpoint=none", *rest
    )
    assert "config.json is damaged" in told("generate", "--checkpoint=run", *rest)
    none = ["--image=still.png", "--audio=none.wav", "--output=out.mp4"]
    assert "no audio file none.wav" in told("generate", f"--checkpoint={run_folder}", *none)
    assert "no image file none.png" in told(
        "generate", f"--checkpoint={run_folder}", "--image=none.png", *none[1:]
    )
    assert "--seed=x: must be an integer; see `s2f generate --help`" in told(
        "generate", "--seed=x", *rest
    )
    assert json.loads((run_folder / "config.json").read_text())["name"] == "tiny"
