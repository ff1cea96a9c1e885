import pytest

from configs import base
from data_pipelines import prepare, splits
from data_pipelines.common.errors import UserError


def test_data_dir_is_the_flag_then_the_config_then_the_environment(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/env")
    assert prepare.data_dir({"dir": "/config"}, "/flag") == "/flag"
    assert prepare.data_dir({"dir": "/config"}) == "/config"
    assert prepare.data_dir({"dir": ""}, "gs://bucket/x") == "gs://bucket/x"
    assert prepare.data_dir({"dir": ""}) == "/env"
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", "/home/me")
    assert prepare.data_dir({"dir": ""}) == "/home/me/tensorflow_datasets"


def test_an_unknown_corpus_lists_the_known_ones():
    data = base.get_config().data
    data.corpus = "gird"
    with pytest.raises(UserError, match="no corpus 'gird'.*demo.*grid"):
        prepare.prepare(data, None, "/nowhere")


def test_a_corpus_that_is_drawn_takes_no_folder(tmp_path):
    data = base.get_config().data
    data.corpus = "demo"
    with pytest.raises(UserError, match="demo takes no manual_dir"):
        prepare.prepare(data, "/somewhere", tmp_path)


def test_no_speaker_is_in_two_splits():
    speakers = [speaker for part in splits.GRID.values() for speaker in part]
    assert len(speakers) == len(set(speakers)) == 33
    assert set(speakers) == {f"s{i}" for i in range(1, 35)} - {"s21"}
    assert [len(part) for part in splits.GRID.values()] == [16, 7, 10]
