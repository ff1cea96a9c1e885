"""The notebooks run from top to bottom, on the demo's checkpoint or, where there is none, a tiny one."""

import os
import shutil
import zipfile

import nbclient
import nbformat
import pytest

from data_pipelines.media import images
from tests.generating import SOUND, STILL, streams
from tests.programs import ROOT
from tests.s2f_jax.compatibility_test import SAVED
from tests.wav_files import wav

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DEMO = ROOT / "runs" / "demo"
VIDEOS = {"first_steps": "first_steps.mp4", "animate_in_colab": "animated.mp4"}


def name(path):
    return path.stem


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder as `make demo` leaves it: a run, a still, a sound."""
    if (DEMO / "unseen_speech.wav").is_file():
        return DEMO
    folder = tmp_path_factory.mktemp("demo")
    with zipfile.ZipFile(SAVED) as file:
        file.extractall(folder)
    (folder / "run" / "unseen_face.png").write_bytes(images.encode_png(STILL))
    wav(folder / "run" / "unseen_speech.wav", SOUND[:8000])
    return folder / "run"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_is_committed_without_what_it_printed(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of pyzmq and its loops.
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_makes_its_video_and_shows_it(path, demo, tmp_path, monkeypatch):
    archive = shutil.make_archive(str(tmp_path / "model"), "zip", demo)
    settings = {
        "S2F_DEMO": demo,
        "S2F_CHECKPOINT": archive,
        "S2F_IMAGE": demo / "unseen_face.png",
        "S2F_AUDIO": demo / "unseen_speech.wav",
        "PYTHONPATH": ROOT,
        "JUPYTER_PLATFORM_DIRS": 1,
        "JUPYTER_DATA_DIR": tmp_path,
        "IPYTHONDIR": tmp_path,
    }
    for variable, value in settings.items():
        monkeypatch.setitem(os.environ, variable, str(value))
    (tmp_path / "work").mkdir()
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(tmp_path / "work")}}
    nbclient.NotebookClient(notebook, timeout=300, resources=where).execute()
    codecs, frames, _ = streams(tmp_path / "work" / VIDEOS[path.stem])
    assert codecs == ("h264", "aac") and frames > 1
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output.data for output in outputs if "data" in output]
    assert any("image/png" in data for data in shown)
    assert any("<video" in data.get("text/html", "") for data in shown)
    assert "Error" not in "".join(output.get("text", "") for output in outputs)
