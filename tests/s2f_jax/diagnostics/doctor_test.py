"""What is wrong is found and reported with its remedy, and what is right gives no warning."""

import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from data_pipelines.common import download
from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks as landmarks_module
from data_pipelines.media import images, writer
from s2f_jax import main
from s2f_jax.diagnostics import doctor, inputs, machine
from s2f_jax.diagnostics.findings import ERROR, OK, WARNING
from s2f_jax.provenance import marks
from tests import tagged_videos
from tests.data_pipelines.demo.draw_test import picture, speaker
from tests.wav_files import wav

TONE = 0.3 * np.sin(np.arange(48000) / 5) * (np.arange(48000) % 8000 < 5000)


@pytest.fixture
def face(monkeypatch, tmp_path):
    """A drawn portrait, found by what stands for the landmark model."""
    image, landmarks = picture(speaker(0, glasses=0.0), 128)
    (tmp_path / "face.png").write_bytes(images.encode_png(image.astype(np.uint8)))
    (tmp_path / "model").write_bytes(b"")
    monkeypatch.setenv("S2F_FACE_LANDMARKER", str(tmp_path / "model"))
    found = [landmarks]
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: found)
    return SimpleNamespace(path=str(tmp_path / "face.png"), found=found, landmarks=landmarks)


@pytest.fixture
def examine(monkeypatch, tmp_path, capsys):
    """doctor of the given inputs, not of the machine -> exit code and findings as in the JSON file."""
    monkeypatch.setattr(machine, "checks", lambda folder: {})

    def examine(**given):
        output = tmp_path / "out"
        output.mkdir(exist_ok=True)
        file = tmp_path / "findings.json"
        code = doctor.examine(output=str(output), json_file=str(file), **given)
        contents = json.loads(file.read_text())
        lines = capsys.readouterr().out.splitlines()
        assert contents["exit_code"] == code and len(lines) == len(contents["findings"]) + 1
        assert code == (2 if any(f["level"] == ERROR for f in contents["findings"]) else 0)
        return code, [SimpleNamespace(**finding) for finding in contents["findings"]]

    return examine


def warnings(findings):
    return [finding.said for finding in findings if finding.level == WARNING]


def machine_finds(name, folder="."):
    return list(machine.checks(pathlib.Path(folder))[name]())


def test_good_inputs_are_reported_with_their_measures(examine, face, run_folder, tmp_path):
    sound = wav(tmp_path / "a.wav", TONE)
    code, found = examine(image=face.path, audio=str(sound), checkpoint=str(run_folder))
    assert code == 0 and {f.level for f in found} == {OK}
    by_topic = {finding.about: finding for finding in found}
    checkpoint = by_topic["checkpoint"].values
    assert (checkpoint["run"], checkpoint["step"]) == ("tiny", 3)
    assert (checkpoint["width"], checkpoint["height"], checkpoint["fps"]) == (12, 16, 25)
    assert by_topic["audio"].values["seconds"] == 3 and by_topic["audio"].values["rate"] == 16000
    speed = by_topic["speed"].values
    assert speed["frames"] == 75
    assert speed["expected_s"] == pytest.approx(75 / speed["frames_per_s"])
    assert speed["real_time_factor"] == pytest.approx(speed["expected_s"] / 3)
    (image,) = [f for f in found if f.about == "image" and "eyes" in f.values]
    assert image.values["faces"] == 1
    assert image.values["enlarged"] == pytest.approx(1 / 8, rel=0.03)  # Of a model of 16x12.


def test_the_overlay_is_named_after_the_image(examine, face, tmp_path):
    examine(image=face.path)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["doctor_face.png"]
    assert images.read_image(tmp_path / "out" / "doctor_face.png").shape[0] == 512


def test_a_bad_input_is_a_finding_and_the_others_are_checked(examine, face, tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    code, found = examine(image=face.path, audio=str(tmp_path / "a.wav"), checkpoint="nowhere")
    assert code == 2
    assert [f.about for f in found if f.level == ERROR] == ["checkpoint", "audio"]
    assert [f.about for f in found if f.level == OK] == ["image", "image"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.png", None, "There is no image file .*missing.png; check"),
        ("text.png", b"a face", "text.png is not an image that can be read; give"),
        ("cut.png", images.encode_png(np.zeros((9, 9, 3), np.uint8))[:40], "breaks off"),
    ],
)
def test_an_unreadable_image_is_an_error(examine, face, tmp_path, name, content, message):
    if content:
        (tmp_path / name).write_bytes(content)
    code, (found,) = examine(image=str(tmp_path / name))
    assert code == 2 and found.level == ERROR and found.about == "image"
    assert re.search(message, found.said)
    assert list((tmp_path / "out").iterdir()) == []


def test_no_face_and_no_model_are_errors(examine, face, monkeypatch, tmp_path):
    face.found.clear()
    code, (found,) = examine(image=face.path)
    assert code == 2 and "96x128 pixels, and no face was found: give" in found.said
    monkeypatch.delenv("S2F_FACE_LANDMARKER")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    code, (found,) = examine(image=face.path)
    assert code == 2 and "no face is searched for: see faces above" in found.said


def test_several_faces_and_a_poor_portrait_give_warnings(examine, face):
    face.found.append(face.landmarks + 5)
    code, found = examine(image=face.path)
    assert code == 0 and "shows 2 faces: the largest is used" in warnings(found)[0]
    face.found[:] = [0.5 * face.landmarks]
    assert "the face is small" in warnings(examine(image=face.path)[1])[0]


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.clip(8 * TONE, -1, 1), 16000, r"clipped [\d.]+ % \(over 0.1 %\): record it again"),
        (0.001 * TONE, 16000, r"level -[\d.]+ dBFS \(under -40 dBFS\): make it louder"),
        (TONE * (np.arange(48000) < 3000), 16000, r"silence [\d.]+ % \(over 80 %\): cut"),
        (TONE, 8000, "nothing above 4000 Hz, and the model was trained on 16000 Hz: give"),
        (np.zeros(16000), 16000, "digital silence: give one with speech"),
    ],
)
def test_a_poor_sound_gives_a_warning(examine, tmp_path, samples, rate, message):
    code, found = examine(audio=str(wav(tmp_path / "a.wav", samples, rate)))
    assert code == 0
    assert any(re.search(message, warning) for warning in warnings(found)), warnings(found)


def test_an_offset_is_measured_and_changes_no_other_measure(examine, tmp_path):
    (plain,) = examine(audio=str(wav(tmp_path / "a.wav", 0.5 * TONE)))[1]
    (shifted,) = examine(audio=str(wav(tmp_path / "b.wav", 0.5 * TONE + 0.2)))[1]
    assert shifted.values["dc"] == pytest.approx(20, abs=0.1)
    for name in ("level", "dynamics", "silence"):
        assert shifted.values[name] == pytest.approx(plain.values[name], abs=0.1)


def test_a_sound_is_measured_before_it_is_resampled(examine, tmp_path):
    square = np.sign(np.sin(np.arange(44100) / 20)) * (np.arange(44100) % 9000 < 5000)
    _, found = examine(audio=str(wav(tmp_path / "a.wav", square, 44100, channels=1)))
    assert found[0].values["rate"] == 44100
    assert found[0].values["clipped"] == pytest.approx(100 * np.abs(square).mean(), abs=0.1)


@pytest.mark.parametrize("samples", [1, 7, 100])
def test_the_shortest_sound_is_measured(examine, tmp_path, samples):
    code, found = examine(audio=str(wav(tmp_path / "a.wav", TONE[1 : samples + 1])))
    assert code == 0 and found[0].values["seconds"] == samples / 16000


def test_a_long_sound_is_measured_in_part_and_timed_whole(examine, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "_MAX_SECONDS", 1.0)
    _, found = examine(audio=str(wav(tmp_path / "a.wav", TONE)))
    assert found[0].values["measured_s"] == pytest.approx(1, abs=0.1)
    assert found[0].values["seconds"] == 3


def test_a_bundle_is_a_checkpoint_too(examine, bundle_folder):
    code, found = examine(checkpoint=str(bundle_folder))
    checkpoint, speed = found
    assert code == 0 and "tiny, step 3, exported as float32 is intact" in checkpoint.said
    assert speed.values["frames_per_s"] > 0


def test_a_damaged_checkpoint_is_an_error(examine, run_folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run_folder, copy)
    sums = copy / "checkpoints" / "3" / "sums" / "metadata"
    changed = {name: value + 1 for name, value in json.loads(sums.read_text()).items()}
    sums.write_text(json.dumps(changed))
    code, (found,) = examine(checkpoint=str(copy))
    assert code == 2 and "checkpoints/3 is damaged" in found.said


def test_the_provenance_of_a_video_is_reported(examine, run_folder, tmp_path):
    frames = np.zeros((5, 16, 16, 3), np.uint8)
    path = tmp_path / "talk.mp4"
    writer.write_video(path, frames, 25)
    _, (unmarked,) = examine(video=str(path))
    assert unmarked.level == OK and "is not marked as synthetic" in unmarked.said
    marks.provenance_record(run_folder, 7, {}).write_sidecar(path, 5, 25.0)
    _, (marked,) = examine(video=str(path))
    assert "is synthetic, made by s2f_jax " in marked.said
    assert marked.values["facts"]["seed"] == 7 and marked.values["unchanged"] is True
    writer.write_video(path, frames + 1, 25)
    code, (_, changed) = examine(video=str(path))
    assert (
        code == 0
        and changed.level == WARNING
        and "differs from the file that its sidecar" in changed.said
    )


def test_how_a_video_s_pictures_are_converted_is_said(examine, tmp_path):
    planes = tagged_videos.grey(np.full((3, 32, 32), 90))
    tags = {"color_trc": 18, "color_primaries": 9, "colorspace": 9, "color_range": 1}
    path = tagged_videos.write(tmp_path / "a.mp4", planes, codec="libx264", field="tff", **tags)
    tagged_videos.set_matrix(path, (-1, 0, 0, 1))
    _, (pictures, _) = examine(video=str(path))
    assert pictures.said.endswith(": its pictures are HLG shown as SDR and mirrored")
    interlaced = {"codec": "libx264", "options": {"x264-params": "tff=1"}, "field": "tff"}
    tagged_videos.write(path, planes, **interlaced)
    _, (pictures, _) = examine(video=str(path))
    assert pictures.values == {"conversions": ["deinterlaced by bwdif"]}


def test_a_sound_in_an_unknown_codec_is_an_error(examine, tmp_path):
    path = tmp_path / "a.mp4"
    writer.write_video(path, np.zeros((5, 16, 16, 3), np.uint8), 25, TONE[:3200], 16000)
    data = path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free")
    path.write_bytes(data)
    code, (found,) = examine(audio=str(path))
    assert code == 2 and "has no sound that can be decoded; give" in found.said


def test_the_folders_for_results_must_exist(tmp_path):
    for given in ({"output": tmp_path / "no"}, {"json_file": tmp_path / "no" / "a.json"}):
        with pytest.raises(UserError, match=r"there is no folder .*no; make it first"):
            doctor.examine(**{name: str(path) for name, path in given.items()})


def test_this_machine_passes_its_checks(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "xla"))
    for name in ("python", "codecs", "disk", "cache"):
        assert {finding.level for finding in machine_finds(name, tmp_path)} == {OK}, name
    assert machine_finds("memory")[0].values["available_bytes"] > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "xla"]


def test_what_has_no_release_for_this_python_is_named(monkeypatch):
    texts = [
        "numpy>=2",
        "old; python_version < '3.10' and extra == 'x'",  # Nothing to come.
        "slow; python_version == '3.13' and extra == 'y'",
        "there; extra == 'y'",
    ]
    monkeypatch.setattr(machine, "_requirements", lambda: (">=3.11", texts, ["x", "y"]))
    (found,) = machine_finds("python")
    has_it = platform.python_version().startswith("3.13.")
    said = "; no release for this Python yet: slow (extra y)"
    assert found.level == OK and found.message.endswith(said) == (not has_it)


def test_packages_out_of_their_ranges_are_named(monkeypatch):
    required = [
        "numpy<1",
        "no_such_package>=2",
        "pytest>=9; extra == 'dev'",
        "jax>99; extra == 'x'",
    ]
    monkeypatch.setattr(machine, "_requirements", lambda: (">=3.99", required, ["dev", "x"]))
    breaks = {"numpy": (">=2", "nothing adds up"), "jax": ("<0.1", "what never comes")}
    monkeypatch.setattr(machine, "_BREAKS", breaks)
    (python,) = machine_finds("python")
    assert python.level == ERROR and "is not >=3.99: install" in python.message
    old, missing, extra = machine_finds("packages")
    assert (
        old.level == WARNING
        and "is not <1, as required (nothing adds up): " in old.message
        and "pip install 'numpy<1'" in old.message
    )
    assert missing.level == ERROR and "pip install 'no_such_package>=2'" in missing.message
    assert extra.level == WARNING and "'jax>99'" in extra.message
    assert "as required (nothing was tested with it): " in extra.message


def test_a_checkout_s_own_ranges_are_read_where_it_is_not_installed(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "metadata", absent)
    python, texts, extras = machine._requirements()
    assert python.startswith(">=3.") and "cuda" in extras
    assert any(text.startswith("jax>=") for text in texts)
    assert any(text.endswith('extra == "cuda"') for text in texts)


def test_a_gpu_that_jax_does_not_use_gives_a_warning(monkeypatch):
    monkeypatch.setattr(machine, "_gpus", lambda: "NVIDIA H100")
    monkeypatch.delenv("JAX_PLATFORMS")
    _, warning = machine_finds("devices")
    assert warning.level == WARNING and "(NVIDIA H100)" in warning.message
    assert "pip install 's2f_jax[cuda]'" in warning.message
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert "unset JAX_PLATFORMS, which is 'cpu'" in machine_finds("devices")[1].message
    monkeypatch.setattr(machine, "_gpus", lambda: "")
    assert len(machine_finds("devices")) == 1


def test_the_driver_names_the_gpus(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho NVIDIA H100\necho NVIDIA H100\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine._gpus() == "NVIDIA H100"


def test_a_missing_or_different_landmark_model_gives_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(socket, "socket", None)  # Nothing is downloaded.
    monkeypatch.delenv("S2F_FACE_LANDMARKER", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (missing,) = machine_finds("faces")
    assert missing.level == WARNING and "set S2F_FACE_LANDMARKER" in missing.message
    (embedder,) = machine_finds("embedder")
    assert embedder.level == OK
    monkeypatch.setenv("S2F_FACE_LANDMARKER", str(tmp_path / "own"))
    with pytest.raises(UserError, match="own is not a file; set it to"):
        machine_finds("faces")
    (tmp_path / "own").write_bytes(b"other")
    monkeypatch.setattr(
        landmarks_module, "FaceFinder", lambda max_faces: SimpleNamespace(close=lambda: None)
    )
    (other,) = machine_finds("faces")
    assert other.level == WARNING and "has the sha256" in other.message
    right = landmarks_module.MODEL._replace(sha256=download.file_digest(tmp_path / "own", "sha256"))
    monkeypatch.setattr(landmarks_module, "MODEL", right)
    assert machine_finds("faces")[0].level == OK


@pytest.mark.parametrize(("free", "level"), [(5e9, OK), (5e8, WARNING), (1e6, ERROR)])
def test_a_full_disk_gives_a_warning_or_an_error(monkeypatch, free, level):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    assert [finding.level for finding in machine_finds("disk")] == [level] * 2


def test_an_unwritable_cache_gives_a_warning(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "file"))
    (found,) = machine_finds("cache")
    assert found.level == WARNING and "set JAX_COMPILATION_CACHE_DIR" in found.message


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libGL.so.1: cannot open shared object file"),
        TypeError("open() got an unexpected keyword argument"),
    ],
)
def test_a_library_that_does_not_work_is_a_finding(monkeypatch, capsys, error):
    def broken():
        raise error

    monkeypatch.setattr(machine, "checks", lambda folder: {"faces": broken})
    assert doctor.examine() == 2
    kind = type(error).__name__
    assert f"faces      cannot be checked ({kind}: {str(error)[:9]}" in capsys.readouterr().out


def test_the_exit_code_depends_on_the_findings(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "checks", lambda folder: {})
    assert main.dispatch(["doctor", f"--audio={wav(tmp_path / 'a.wav', TONE)}"]) == 0
    assert main.dispatch(["doctor", "--driven_audio=missing.wav", "--json=found.json"]) == 2
    assert json.loads((tmp_path / "found.json").read_text())["exit_code"] == 2
    assert "There is no audio file missing.wav" in capsys.readouterr().out


def test_without_a_missing_package_the_other_checks_run():
    """Nothing heavy is imported before it is checked."""
    code = (
        "import sys; sys.modules['jax'] = None; sys.modules['mediapipe'] = None\n"
        "from s2f_jax.diagnostics import doctor\n"
        "from s2f_jax.diagnostics import machine\n"
        "all_checks = machine.checks\n"
        "machine.checks = lambda f: {n: all_checks(f)[n] for n in ('devices', 'faces', 'disk')}\n"
        "sys.exit(doctor.examine(image='a.png'))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr == ""
    levels = [line.split()[:2] for line in result.stdout.splitlines()]
    assert levels[:2] == [["error", "devices"], ["error", "faces"]]
    assert ["error", "inputs"] in levels
