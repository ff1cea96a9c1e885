"""A bundle's own program: where nothing else is installed, and what pictures and sounds it takes."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import soxr

from data_pipelines.media import decode, images
from s2f_jax.bundle import bundle_runtime
from tests.wav_files import wav

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, 20000)

# What may be imported, and what of the rest somebody might have thought is needed.
WITH = {
    "jax": ("jax", "jaxlib", "ml_dtypes", "numpy", "opt_einsum", "scipy"),
    "onnx": ("onnxruntime", "numpy"),
}
WITHOUT = {
    "jax": ("s2f_jax", "flax", "onnxruntime", "etils", "cv2"),
    "onnx": ("s2f_jax", "flax", "jax", "onnx", "ml_dtypes", "cv2"),
}
BARE = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} can be imported: this environment shows nothing")
"""


@pytest.fixture(scope="module")
def run_bundle():
    """Imported as in a bundle: from its own folder, where it looks for what lies beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(pathlib.Path(bundle_runtime.__file__).parent)
        return importlib.import_module("run_bundle")


def png(path, image):
    path.write_bytes(images.encode_png(image))
    return path


@pytest.fixture
def given(tmp_path):
    image, audio = png(tmp_path / "face.png", STILL), wav(tmp_path / "speech.wav", SOUND)
    return {"image": image, "audio": audio, "output": tmp_path / "talk.npy"}


def flags(files, **more):
    return [f"--{name}={value}" for name, value in (files | more).items()]


@pytest.mark.parametrize("runtime", ["jax", "onnx"])
def test_a_bundle_runs_with_its_runtime_alone(bundle_folder, animator, given, tmp_path, runtime):
    site = tmp_path / "site"
    site.mkdir()
    for name in WITH[runtime]:
        package = pathlib.Path(importlib.util.find_spec(name).origin).parent
        for folder in (package, package.parent / f"{name}.libs"):
            if folder.exists():
                (site / folder.name).symlink_to(folder)
    # Without site-packages; and nothing is left in the bundle, which is other tests' too.
    python = [sys.executable, "-s", "-S", "-B"]
    bare = {"env": os.environ | {"PYTHONPATH": str(site)}, "cwd": tmp_path}
    subprocess.run([*python, "-c", BARE, *WITHOUT[runtime]], check=True, **bare)
    command = [*python, bundle_folder / "run_bundle.py", *flags(given, runtime=runtime, seed=3)]
    done = subprocess.run(command, capture_output=True, text=True, **bare)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{given['output']}: 32 frames of 12x16\n"
    frames = np.load(given["output"])
    expected = animator(str(given["image"]), str(given["audio"]), aligned=True, seed=3)
    assert frames.shape == expected.shape and frames.dtype == np.uint8
    assert np.abs(frames.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["colour", "grey", "alpha", "grey alpha"])
def test_every_kind_of_png_is_read(run_bundle, tmp_path, kind):
    smooth = cv2.resize(RNG.integers(0, 256, (4, 3, 4), np.uint8), (12, 16))  # Paeth's filter pays.
    image = {"colour": smooth[..., :3], "grey": smooth[..., 0], "alpha": smooth}.get(kind)
    path = tmp_path / "image.png"
    if kind == "grey alpha":  # OpenCV writes none.
        image_module = pytest.importorskip("PIL.Image")
        image_module.fromarray(smooth[..., 0]).convert("LA").save(path)
    else:
        cv2.imwrite(str(path), image)
    read = run_bundle.read_image(str(path), 16, 12).astype(int)
    assert np.abs(read - images.read_image(path)).max() == 0


@pytest.mark.parametrize(
    ("width", "channels", "rate"), [(1, 1, 16000), (2, 2, 16000), (3, 1, 16000), (4, 1, 16000)]
)
def test_every_kind_of_wav_is_read(run_bundle, tmp_path, width, channels, rate):
    path = wav(tmp_path / "a.wav", SOUND, rate, width, channels)
    read = run_bundle.read_audio(str(path), 16000)
    assert read.shape == (20000 // channels,) and read.dtype == np.float32
    samples = SOUND.reshape(-1, channels)
    expected = samples.mean(axis=1)
    expected *= np.sqrt((samples**2).mean(axis=0).max() / (expected**2).mean())
    expected = np.clip(expected, -1, 1)
    np.testing.assert_allclose(read, expected, atol=0.02 if width == 1 else 1e-4)


@pytest.mark.parametrize("gains", [(1, 0), (1, -1), (0, 0, 1, 0, 0, 0), (1, 1)])
def test_a_voice_keeps_its_level_in_any_channels(run_bundle, gains):
    mixed = run_bundle.mix_channels(np.outer(SOUND, gains))
    np.testing.assert_allclose(np.abs(mixed), np.abs(SOUND), atol=1e-9)
    assert not run_bundle.mix_channels(np.zeros((5, len(gains)))).any()


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 12345])
def test_resampling_is_band_limited(run_bundle, rate):
    time = np.arange(rate)
    tone = 0.4 * np.sin(2 * np.pi * 1000 * time / rate) * np.hanning(rate)
    drawn = run_bundle.resample(tone, rate, 16000)
    assert len(drawn) == 16000
    expected = soxr.resample(tone, rate, 16000, quality="HQ")
    assert np.abs(drawn - expected).max() < 1e-3
    odd = run_bundle.resample(tone[:777], rate, 16000)
    assert len(odd) == -(-777 * 16000 // rate)


def test_a_y4m_is_the_frames(run_bundle, tmp_path):
    frames = np.stack([np.full((16, 12, 3), level, np.uint8) for level in (0, 128, 255)])
    frames[1] = (255, 0, 0)
    run_bundle.write_frames(str(tmp_path / "a.y4m"), frames, 25, "SEED=3")
    head, *drawn = (tmp_path / "a.y4m").read_bytes().split(b"FRAME\n")
    assert head == b"YUV4MPEG2 W12 H16 F25000:1000 Ip A1:1 C444 XSYNTHETIC XSEED=3\n"
    planes = [np.frombuffer(frame, np.uint8).reshape(3, 192) for frame in drawn]
    # BT.601: black, red, white.
    for plane, colour in zip(planes, [(16, 128, 128), (81, 90, 240), (235, 128, 128)], strict=True):
        np.testing.assert_array_equal(plane, np.repeat(np.array(colour)[:, None], 192, axis=1))
    decoded = decode.decode_clip(tmp_path / "a.y4m")
    assert np.abs(decoded.frames.astype(int) - frames).max() <= 3 and decoded.fps == 25


def test_ffmpeg_reads_the_y4m_that_the_program_writes(bundle_folder, given, tmp_path):
    """It refuses a header of 128 bytes or more."""
    files = given | {"output": tmp_path / "talk.y4m"}
    command = [sys.executable, "-B", bundle_folder / "run_bundle.py"]
    more = flags(files, runtime="onnx", seed=2**32 - 1)
    subprocess.run([*command, *more], check=True, capture_output=True)
    assert decode.decode_clip(files["output"]).frames.shape == (32, 16, 12, 3)
    header = files["output"].read_bytes().partition(b"\n")[0]
    assert len(header) + len("W1080 H1920") - len("W12 H16") < 128


def bad(tmp_path, name):
    path = tmp_path / name
    if name == "large.png":
        return png(path, np.zeros((17, 12, 3), np.uint8))
    if name == "deep.png":
        cv2.imwrite(str(path), 257 * STILL.astype(np.uint16))
    elif name == "half.png":
        path.write_bytes(images.encode_png(STILL)[:200])
    elif name == "float.npy":
        np.save(path, STILL / 255)
    elif name == "objects.npy":
        np.save(path, np.array([print], object), allow_pickle=True)
    elif name == "empty.wav":
        return wav(path, SOUND[:0])
    elif name.startswith("text"):
        path.write_text("a face, a voice\n" * 50)
    return path


@pytest.mark.parametrize(
    ("what", "name", "message"),
    [
        ("image", "missing.png", "cannot be read"),
        ("image", "text.png", "it is not a PNG"),
        ("image", "large.png", r"is \[17, 12, 3\]: must be \[16, 12, 3\]"),
        ("image", "deep.png", "16 bits, colour type 2"),
        ("image", "half.png", "cannot be read"),
        ("image", "float.npy", "cannot be read"),
        ("image", "objects.npy", "cannot be read"),
        ("audio", "missing.wav", "cannot be read"),
        ("audio", "text.wav", "cannot be read"),
        ("audio", "empty.wav", "0 samples"),
        ("output", "no/talk.y4m", "cannot be written: No such file or directory"),
        ("output", "talk.mp4", r"--output=.*talk.mp4: must end in .npy or .y4m"),
        ("seed", "-1", "seed=-1 is out of range: give"),
        ("runtime", "torch", "no runtime 'torch': give jax or onnx"),
    ],
)
def test_mistakes_are_reported(
    run_bundle, bundle_folder, given, tmp_path, monkeypatch, capsys, what, name, message
):
    value = bad(tmp_path, name) if what in given else name
    monkeypatch.setattr(run_bundle, "__file__", str(bundle_folder / "run_bundle.py"))
    before = sorted(tmp_path.iterdir())
    assert run_bundle.main(flags(given | {what: value})) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("run_bundle: ") and stderr.count("\n") == 1
    assert re.search(message, stderr)
    assert sorted(tmp_path.iterdir()) == before
