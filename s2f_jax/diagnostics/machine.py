"""What `doctor` looks at without being given anything: this machine and what is installed."""

import functools
import glob
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator

from data_pipelines.common import download
from s2f_jax.diagnostics.findings import ERROR, OK, WARNING, Check, Finding

_SHOWN = ("jax", "jaxlib", "flax", "av", "mediapipe")  # Versions that answer most questions.
_LEAST_MEMORY = 2e9  # Bytes: jax, the full-size generator and a chunk of its frames.
# Bytes: an hour's video takes 0.1 GB, compiled programs as much; less than the first is worth a word,
# with less than the second nothing can be written.
_ENOUGH_ROOM, _LEAST_ROOM = 1e9, 5e7
_OPENCVS = tuple(
    f"opencv{contrib}-python{headless}"
    for contrib in ("", "-contrib")
    for headless in ("", "-headless")
)


def checks(folder: pathlib.Path) -> dict[str, Check]:
    """All of them, by what they are about; folder: that will be written to."""
    return {
        "python": _python,
        "packages": _packages,
        "devices": _devices,
        "codecs": _codecs,
        "faces": _face_model,
        "embedder": _embedder,
        "disk": functools.partial(_room, folder),
        "memory": _memory,
        "cache": _cache,
    }


def _requirements() -> tuple[str, list[str], list[str]]:
    """-> the range of Python versions, requirements with their markers, the extras' names."""
    try:
        metadata = importlib.metadata.metadata("s2f_jax")
        requires = importlib.metadata.requires("s2f_jax") or []
        return metadata["Requires-Python"], requires, metadata.get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:  # A checkout that is run in place.
        path = pathlib.Path(__file__).parents[2] / "pyproject.toml"
        project = tomllib.loads(path.read_text())["project"]
        extras = project["optional-dependencies"]
        marked = [f'{r} ; extra == "{name}"' for name, of in extras.items() for r in of]
        return project["requires-python"], project["dependencies"] + marked, list(extras)


def _python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    wanted, here = _requirements()[0], platform.python_version()
    values = {"python": here, "system": platform.platform(), "cores": os.cpu_count()}
    if SpecifierSet(wanted).contains(here, prereleases=True):
        yield Finding(OK, "python", f"{here}, {platform.system()}, {os.cpu_count()} cores", values)
    else:
        yield Finding(ERROR, "python", f"{here} is not {wanted}: install one that is", values)


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    _, texts, extras = _requirements()
    versions = {}
    fine = True
    for requirement in map(Requirement, texts):
        marker, name = requirement.marker, requirement.name
        optional = marker is not None and not marker.evaluate({"extra": ""})
        # What developers pin says nothing about a machine that animates faces.
        used = [e for e in extras if e != "dev" and marker and marker.evaluate({"extra": e})]
        if optional and not used:
            continue
        try:
            versions[name] = version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if not optional:
                fine = False
                yield Finding(
                    ERROR,
                    "packages",
                    f"{name} is missing: pip install '{name}{requirement.specifier}'",
                )
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            fine = False
            yield Finding(
                WARNING,
                "packages",
                f"{name} {version} is not {requirement.specifier}, which is what this version was"
                f" made for: pip install '{name}{requirement.specifier}'",
            )
    if len(several := [name for name in _OPENCVS if _installed(name)]) > 1:
        fine = False
        yield Finding(
            WARNING,
            "packages",
            f"{' and '.join(several)} overwrite each other: uninstall all of them, then install"
            " mediapipe again, which brings the one that it needs",
        )
    if fine:
        shown = ", ".join(f"{name} {versions[name]}" for name in _SHOWN if name in versions)
        said = f"{len(versions)} are within their ranges ({shown})"
        yield Finding(OK, "packages", said, {"versions": versions})


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _devices() -> Iterator[Finding]:
    import jax

    found = jax.devices()
    kinds = sorted({device.device_kind for device in found})
    values = {"backend": jax.default_backend(), "count": len(found), "kinds": kinds}
    plural = "s" if len(found) > 1 else ""
    yield Finding(
        OK, "devices", f"jax uses {len(found)} device{plural} ({', '.join(kinds)})", values
    )
    if jax.default_backend() != "cpu":
        return
    for seen, what, extra in ((_gpus(), "GPU", "cuda"), (_tpus(), "TPU", "tpu")):
        if not seen:
            continue
        chosen = os.environ.get("JAX_PLATFORMS")
        cure = (
            f"unset JAX_PLATFORMS, which is {chosen!r}"
            if chosen
            else f"pip install 's2f_jax[{extra}]'"
        )
        yield Finding(
            WARNING,
            "devices",
            f"there is a {what} here ({seen}), and jax sees only the CPU: {cure}",
        )


def _gpus() -> str:
    """NVIDIA's GPUs as their driver names them; empty: none."""
    if shutil.which("nvidia-smi"):
        try:
            listed = subprocess.run(
                ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=20,
            )
        except subprocess.TimeoutExpired:
            return "nvidia-smi does not answer"
        if listed.returncode == 0 and listed.stdout.strip():
            return ", ".join(sorted(set(listed.stdout.strip().splitlines())))
    return ", ".join(sorted(glob.glob("/dev/nvidia[0-9]*")))


def _tpus() -> str:
    return ", ".join(sorted(glob.glob("/dev/accel[0-9]*")))


def _codecs() -> Iterator[Finding]:
    import av.codec
    import av.error
    import numpy as np

    from data_pipelines.media import decode, writer

    for name, what in (("libx264", "H.264"), ("aac", "AAC")):
        try:
            av.codec.Codec(name, "w")
        except (ValueError, av.error.FFmpegError):
            yield Finding(
                ERROR,
                "codecs",
                f"PyAV {av.__version__} was built without {name} for {what}: pip install"
                " --force-reinstall --only-binary=av av",
            )
            return
    levels = np.arange(16, 240, 16, dtype=np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (len(levels), 32, 32, 3))
    tone = np.sin(np.arange(16000 * len(levels) // 25) / 10).astype(np.float32) / 2
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "round_trip.mp4")
        writer.write_video(path, frames, 25, tone, 16000)
        clip = decode.decode_clip(path)
    whole = clip.frames.shape == frames.shape and len(clip.audio) >= len(tone)
    if not whole or np.abs(clip.frames.astype(int) - frames).max() > 8 or clip.audio.std() < 0.2:
        yield Finding(
            ERROR,
            "codecs",
            f"a video written by PyAV {av.__version__} comes back changed: pip install"
            " --force-reinstall --only-binary=av av",
        )
        return
    yield Finding(
        OK, "codecs", f"H.264 and AAC can be written and read back (PyAV {av.__version__})"
    )


def _face_model() -> Iterator[Finding]:
    from data_pipelines.faces import landmarks

    model = landmarks.MODEL
    path = download.local_model(model)
    if path is None:
        yield Finding(
            WARNING,
            "faces",
            f"{model.name} is not on this machine: it is fetched when a portrait first needs it;"
            f" without a network, copy {model.url} here and set {model.variable} to its path",
        )
        return
    found = download.file_digest(path, "sha256")
    values = {"path": str(path), "sha256": found}
    if found != model.sha256:
        yield Finding(
            WARNING,
            "faces",
            f"{path} has the sha256 {found} instead of {model.sha256}: fetch {model.url} again",
            values,
        )
    landmarks.FaceFinder(max_faces=1).close()
    if found == model.sha256:
        yield Finding(OK, "faces", f"the landmark model loads ({path}, its sum is right)", values)


def _embedder() -> Iterator[Finding]:
    from s2f_jax.metrics import embedders

    model = embedders.SFACE
    path = download.local_model(model)
    if path is None:
        said = f"{model.name} is not on this machine; only `evaluate` uses it, and fetches it"
        yield Finding(OK, "embedder", said)
        return
    found = download.file_digest(path, "sha256")
    values = {"path": str(path), "sha256": found}
    if found == model.sha256:
        yield Finding(OK, "embedder", f"{path}, its sum is right", values)
    else:
        yield Finding(
            WARNING,
            "embedder",
            f"{path} has the sha256 {found} instead of {model.sha256}, and `evaluate` will refuse"
            f" it: fetch {model.url} again",
            values,
        )


def _room(folder: pathlib.Path) -> Iterator[Finding]:
    for what, path in (("output", folder), ("cache", download.user_cache())):
        path = path.absolute()
        while not path.exists():
            path = path.parent
        free = shutil.disk_usage(path).free
        values = {"path": str(path), "free_bytes": free}
        said = f"{free / 1e9:.1f} GB are free for the {what} in {path}"
        if free >= _ENOUGH_ROOM:
            yield Finding(OK, "disk", said, values)
        else:
            level = WARNING if free >= _LEAST_ROOM else ERROR
            yield Finding(level, "disk", f"only {said}: make room", values)


def _memory() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    values = {"total_bytes": memory.total, "available_bytes": memory.available}
    said = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB are available"
    if memory.available < _LEAST_MEMORY:
        said = f"only {said}, and {_LEAST_MEMORY / 1e9:.0f} are needed: end other programs"
        yield Finding(WARNING, "memory", said, values)
    else:
        yield Finding(OK, "memory", said, values)


def _cache() -> Iterator[Finding]:
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(download.user_cache() / "xla")
    if "://" in folder:
        yield Finding(OK, "cache", f"compiled programs are kept in {folder}, not looked at")
        return
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        yield Finding(
            WARNING,
            "cache",
            f"{folder} cannot be written to ({error.strerror}), so that programs are compiled anew"
            " each time: set JAX_COMPILATION_CACHE_DIR to a folder of yours",
        )
        return
    yield Finding(OK, "cache", f"compiled programs are kept in {folder}", {"path": folder})
