"""Writes docs/reference/compatibility.md: which jax runs a bundle that which jax wrote, and how far frames differ.

    .venv/bin/python docs/compatibility.py WORKDIR

Each writer exports the run of tests/fixtures, and draws frames with a generator of the paper's size and random
weights, in an environment of its own with this checkout and all that belongs to it; each reader runs the
bundle, in an environment with numpy and jax alone. Environments are made by uv in WORKDIR, and used again
by the next call. A Python of each minor version below must be installed.
"""

import itertools
import pathlib
import re
import subprocess
import sys
import wave
import zipfile

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
WRITERS = {"0.10.2": "3.11", "0.11.0": "3.13", "0.11.2": "3.13", "0.12.0.1": "3.13"}  # jax, Python.
READERS = {"0.9.2": "3.11", **WRITERS}
PAGE = ROOT / "docs/reference/compatibility.md"

DRAW = """
import sys
import numpy as np
from configs import base
from s2f_jax.models import networks
from tests.tiny_generator import tiny_state
config, rng = base.get_config(), np.random.default_rng(0)
state, g = tiny_state(config), networks.generator(config.data, config.model)
variables = {"params": state.params["generator"], "batch_stats": state.batch_stats["generator"]}
still = rng.uniform(-1, 1, (1, g.height, g.width_px, 3)).astype(np.float32)
sound = rng.uniform(-1, 1, (1, 7 * g.stride + g.window)).astype(np.float32)
noise = rng.normal(size=(1, 8, g.noise_features)).astype(np.float32)
np.save(sys.argv[1], g.apply(variables, still, sound, noise))
"""


def environment(folder, name, python, *requirements):
    """Makes an environment, once -> its interpreter."""
    interpreter = folder / name / "bin/python"
    if not (folder / name / "made").exists():
        uv = [sys.executable, "-m", "uv"]
        create = [*uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", python]
        subprocess.run([*create, folder / name], check=True)
        install = [*uv, "pip", "install", "--quiet", "--python", interpreter]
        subprocess.run([*install, *requirements], check=True, cwd=ROOT)
        (folder / name / "made").touch()
    return interpreter


def unpacked(folder):
    """The fixture, its still and sound as files -> the run."""
    with zipfile.ZipFile(ROOT / "tests/fixtures/saved_by_0_1_0.zip") as file:
        file.extractall(folder)
    drawn = np.load(folder / "drawn.npz")
    np.save(folder / "still.npy", drawn["still"])
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 1000, 0, "NONE", ""))
        sound.writeframes((drawn["sound"] * 32767).astype("<i2").tobytes())
    return folder / "run"


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def write(folder, jax, saved):
    """Draws and exports under a version of jax."""
    python = environment(folder, f"writer-{jax}", WRITERS[jax], "-e", ".[export]", f"jax=={jax}")
    run(python, "-c", DRAW, folder / f"{jax}.npy", check=True, cwd=ROOT)
    bundle = folder / f"bundle-{jax}"
    flags = ("--formats=stablehlo,onnx", f"--output={bundle}", f"--checkpoint={saved}")
    if not bundle.exists():
        run(python, "-m", "s2f_jax.main", "export", *flags, check=True)
    return bundle


def read(folder, jax, bundle):
    """Runs a bundle under a version of jax -> its frames, or the sentence it ended in."""
    python = environment(folder, f"reader-{jax}", READERS[jax], "numpy", f"jax=={jax}")
    output = folder / "read.npy"
    output.unlink(missing_ok=True)
    inputs = (f"--image={folder / 'still.npy'}", f"--audio={folder / 'sound.wav'}")
    result = run(python, bundle / "run_bundle.py", *inputs, f"--output={output}")
    if result.returncode == 2 and len(result.stderr.splitlines()) == 1:
        return result.stderr.strip()
    if result.returncode:
        return f"exit code {result.returncode}: {result.stderr.splitlines()[-1]}"
    return np.load(output).astype(int)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main(folder):
    saved = unpacked(folder)
    bundles = {jax: write(folder, jax, saved) for jax in WRITERS}
    frames = {
        (writer, reader): read(folder, reader, bundle)
        for (writer, bundle), reader in itertools.product(bundles.items(), READERS)
    }
    first = next(value for value in frames.values() if not isinstance(value, str))

    def cell(value):
        return value if isinstance(value, str) else f"runs, {abs(value - first).max()}"

    matrix = table(
        ["written by jax", *(f"read by {reader}" for reader in READERS)],
        [[writer, *(cell(frames[writer, reader]) for reader in READERS)] for writer in WRITERS],
    )
    drawn = {jax: np.load(folder / f"{jax}.npy") for jax in WRITERS}
    pairs = table(
        ["jax", *WRITERS],
        [[a, *(f"{abs(drawn[a] - drawn[b]).max():.1g}" for b in WRITERS)] for a in WRITERS],
    )
    page = PAGE.read_text()
    for name, lines in (("bundles", matrix), ("frames", pairs)):
        pattern = rf"(?s)(?<=<!-- {name} -->\n\n).*?(?=\n\n<!-- end of {name} -->)"
        page = re.sub(pattern, lambda _, lines=lines: lines, page)
    PAGE.write_text(page)


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1]).absolute()
    target.mkdir(parents=True, exist_ok=True)
    main(target)
