import json
import re

import jax
import pytest
from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.config import read
from s2f_jax.config.schema import RENAMED, SCHEMA, as_json
from s2f_jax.inference.animator import Animator
from s2f_jax.runs import workdir
from s2f_jax.runs.restore import find_checkpoint
from s2f_jax.runs.workdir import open_workdir, read_config, write_config


def rewritten(run_folder, tmp_path, change):
    """A copy of the run's folder, its config changed; the checkpoints are the run's own."""
    config = json.loads((run_folder / "config.json").read_text())
    change(config)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "checkpoints").symlink_to(run_folder / "checkpoints")
    return tmp_path


def test_a_run_s_config_is_read_as_it_was_written(run_folder, config):
    assert as_json(read_config(run_folder)) == as_json(config)


def test_the_config_of_a_tiny_run_is_one_a_person_could_give(config):
    read.check_config(config)


def test_a_workdir_of_another_config_shows_the_difference(run_folder, config):
    config.optim.b1 = 0.9
    config.max_epochs = 7  # Which a continuation may change.
    with pytest.raises(UserError, match=r"config \(optim\.b1: 0\.5 there, 0\.9 now\): choose"):
        open_workdir(config, run_folder)


def test_a_workdir_that_cannot_be_one_is_refused(tmp_path, config):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="is a file, not a folder"):
        open_workdir(config, file)
    with pytest.raises(UserError, match=r"file/run cannot be written \(Not a directory\)"):
        write_config(config, open_workdir(config, file / "run"))


def test_what_changed_since_the_last_start_is_said_once(tmp_path):
    """And not what a version of s2f_jax that wrote run.json earlier did not record."""
    folder = epath.Path(tmp_path)
    assert workdir.write_provenance(0, folder, 0) == {}
    made = json.loads((tmp_path / "run.json").read_text())
    del made["versions"]["numpy"]
    made["versions"] |= {"jax": "0.9.0"}
    made["devices"] = ["TPU v4", "TPU v4"]
    (tmp_path / "run.json").write_text(json.dumps(made))
    changed = workdir.write_provenance(0, folder, 7)
    devices = f"2 of TPU v4 -> {jax.device_count()} of cpu"
    assert changed == {"jax": f"0.9.0 -> {jax.__version__}", "devices": devices}
    assert workdir.write_provenance(0, folder, 9) == {}
    last = json.loads((tmp_path / "run.json").read_text())
    assert "changed" not in last
    assert last["earlier"][-1]["changed"] == changed


@pytest.mark.parametrize("text", ["{half", "[]", "{}", "", "3"])
def test_a_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is damaged .*: restore it"):
        read_config(tmp_path)


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, -1, "1", 1.0, True, None, []])
def test_a_schema_that_nobody_knows_is_refused(run_folder, tmp_path, schema):
    folder = rewritten(run_folder, tmp_path, lambda config: config.update(schema=schema))
    said = f"schema {schema!r} and this version reads 1 to {SCHEMA}: use"
    with pytest.raises(UserError, match=re.escape(said)):
        read_config(folder)


def test_this_version_writes_the_newest_schema(config):
    assert config.schema == SCHEMA == 3


def of_schema_2(config):
    """As the version before wrote it: the discriminators' fields in three sections."""
    config["schema"] = 2
    for before, after in RENAMED.items():
        (section, name), (_, discriminator, leaf) = before.split("."), after.split(".")
        config[section][name] = config["discriminators"][discriminator][leaf]
    del config["discriminators"]


def of_schema_1(config):
    """As the first version wrote it: faces at the canonical place, one task without a field."""
    of_schema_2(config)
    config["schema"] = 1
    del config["model"]["face"], config["task"]


def test_a_run_of_schema_1_is_this_version_s(run_folder, tmp_path, config, animator):
    folder = rewritten(run_folder, tmp_path, of_schema_1)
    assert as_json(read_config(folder)) == as_json(config)
    assert open_workdir(config, folder) == folder  # Training and evaluation go on there.
    assert Animator.load(folder).face == animator.face == ()
    config.model.face = ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0), (9.0, 10.0))
    with pytest.raises(
        UserError, match=r"another config \(model\.face: \[\] there, \[\[1\.0, 2\.0\]"
    ):
        open_workdir(config, folder)


def test_a_run_of_schema_2_is_this_version_s(run_folder, tmp_path, config):
    folder = rewritten(run_folder, tmp_path, of_schema_2)
    assert as_json(read_config(folder)) == as_json(config)
    assert open_workdir(config, folder) == folder
    config.discriminators.sequence.weight = 2.0
    with pytest.raises(UserError, match=r"discriminators\.sequence\.weight: 1\.0 there, 2\.0 now"):
        open_workdir(config, folder)


def test_a_run_from_before_looks_were_augmented_goes_on_without(run_folder, tmp_path, config):
    def older(saved):
        for name in ("color", "light", "background", "warp"):
            del saved["augment"][name]
        del saved["balance_speakers"]

    folder = rewritten(run_folder, tmp_path, older)
    assert as_json(read_config(folder)) == as_json(config)
    assert open_workdir(config, folder) == folder
    config.augment.warp, config.balance_speakers = 1.0, 0.5
    with pytest.raises(
        UserError, match=r"augment\.warp: 0\.0 there, 1\.0 now; balance_speakers: 0"
    ):
        open_workdir(config, folder)


def test_what_a_discriminator_without_weight_is_like_does_not_matter(run_folder, config):
    """A section that is new, too: a run made before it goes on."""
    config.discriminators.sync.width = 1
    config.discriminators.new = {"weight": 0.0, "width": 3}
    open_workdir(config, run_folder)
    config.discriminators.sync.weight = 1.0
    with pytest.raises(UserError, match=r"discriminators\.sync\.weight: None there"):
        open_workdir(config, run_folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.pop("discriminators"),
        lambda config: config.update(discriminators=[]),
        lambda config: config.update(discriminators={"frame": 1}),
        lambda config: config["discriminators"]["frame"].pop("weight"),
    ],
)
def test_a_workdir_whose_config_lacks_a_part_is_of_another_config(
    run_folder, tmp_path, config, change
):
    folder = rewritten(run_folder, tmp_path, change)
    with pytest.raises(
        UserError, match=r"another config .*discriminators\.frame\.weight: None there"
    ):
        open_workdir(config, folder)


@pytest.mark.parametrize(("weight", "opens"), [(0.0, True), (100.0, False)])
def test_a_term_that_is_no_longer_is_forgotten_where_it_was_off(
    run_folder, tmp_path, config, weight, opens
):
    gone = {"diversity": weight, "diversity_levels": 3.0}
    folder = rewritten(run_folder, tmp_path, lambda config: config["loss"].update(gone))
    if opens:
        open_workdir(config, folder)
    else:
        with pytest.raises(UserError, match="another config .*loss.diversity: 100.0 there"):
            open_workdir(config, folder)


def test_a_config_that_cannot_be_migrated_is_damaged(tmp_path):
    (tmp_path / "config.json").write_text('{"schema": 1}')
    with pytest.raises(UserError, match="is damaged .KeyError, 'model'.: restore it"):
        read_config(tmp_path)


def test_a_face_in_a_config_is_five_points(run_folder, tmp_path):
    points = [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10.5]]
    folder = rewritten(run_folder, tmp_path, lambda config: config["model"].update(face=points))
    assert Animator.load(folder).face == tuple((float(x), float(y)) for x, y in points)
    for face in (points[:4], [*points[:4], [5, None]], 7, "points", [[1, 2]] * 5, [[], []]):
        config = json.loads((run_folder / "config.json").read_text())
        config["model"]["face"] = face
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=r"model\.face=.*: must be five points"):
            Animator.load(folder)


def test_a_run_of_another_task_has_no_generator(run_folder, tmp_path):
    folder = rewritten(run_folder, tmp_path, lambda config: config.update(task="sync"))
    with pytest.raises(UserError, match="task 'sync', which has no generator"):
        Animator.load(folder)


def test_a_config_without_a_field_is_told(run_folder, tmp_path):
    folder = rewritten(run_folder, tmp_path, lambda config: config["model"].pop("copy_path"))
    with pytest.raises(UserError, match=r"lacks a field .*copy_path"):
        Animator.load(folder)


def test_a_config_of_other_networks_than_the_checkpoint_s_is_told(run_folder, tmp_path):
    folder = rewritten(run_folder, tmp_path, lambda config: config["model"].update(width=8))
    with pytest.raises(UserError, match="not that of its checkpoint 3"):
        Animator.load(folder)


def test_a_damaged_checkpoint_is_named(run_folder, tmp_path):
    (tmp_path / "config.json").write_text((run_folder / "config.json").read_text())
    (tmp_path / "checkpoints" / "3" / "state").mkdir(parents=True)
    with pytest.raises(UserError, match="checkpoints/3 cannot be read"):
        Animator.load(tmp_path / "checkpoints" / "3")


def test_a_checkpoint_is_a_workdir_or_one_of_its_steps(run_folder, tmp_path, monkeypatch):
    workdir = run_folder.resolve()
    assert find_checkpoint(run_folder) == (workdir, 3)
    assert find_checkpoint(run_folder / "checkpoints" / "3") == (workdir, 3)
    monkeypatch.chdir(run_folder / "checkpoints")
    assert find_checkpoint("3") == (workdir, 3)
    for path, said in [
        (tmp_path / "none", "no checkpoint at"),
        (run_folder / "checkpoints" / "4", "no checkpoint at"),
        (run_folder / "config.json", "holds no checkpoint"),
        (tmp_path, "holds no checkpoint"),
    ]:
        with pytest.raises(UserError, match=said):
            find_checkpoint(path)
