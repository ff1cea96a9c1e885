"""`doctor`'s checks of the machine: packages, devices, codecs, models, disk, memory."""

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

_KEY_PACKAGES = ("jax", "jaxlib", "flax", "av", "mediapipe")  # Whose versions are printed.
_MIN_MEMORY = 2e9  # Bytes: jax, the full-size generator and a chunk of its frames.
# Free bytes. An hour's video takes 0.1 GB, compiled programs as much: below the first there is a
# warning, below the second nothing can be written.
_ENOUGH_DISK, _MIN_DISK = 1e9, 5e7
# What fails with releases outside the ranges, where that was tried.
_BREAKS = {
    "av": ("<17", "it reads and writes no video"),
}
_OPENCVS = tuple(
    f"opencv{contrib}-python{headless}"
    for contrib in ("", "-contrib")
    for headless in ("", "-headless")
)


def checks(folder: pathlib.Path) -> dict[str, Check]:
    """Lists the checks of the machine.

    Args:
      folder: Folder in which output will be written.

    Returns:
      Topic -> check, in the order in which they run.
    """
    return {
        "python": _python,
        "packages": _packages,
        "devices": _devices,
        "codecs": _codecs,
        "faces": _landmark_model,
        "embedder": _embedder,
        "disk": functools.partial(_disk_space, folder),
        "memory": _memory,
        "cache": _compilation_cache,
    }


def _requirements() -> tuple[str, list[str], list[str]]:
    """Returns the range of Python versions, requirements with markers, and names of extras."""
    try:
        metadata = importlib.metadata.metadata("s2f_jax")
        requires = importlib.metadata.requires("s2f_jax") or []
        return metadata["Requires-Python"], requires, metadata.get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:  # A checkout that is not installed.
        path = pathlib.Path(__file__).parents[2] / "pyproject.toml"
        project = tomllib.loads(path.read_text())["project"]
        extras = project["optional-dependencies"]
        marked = [f'{r} ; extra == "{name}"' for name, listed in extras.items() for r in listed]
        return project["requires-python"], project["dependencies"] + marked, list(extras)


def _python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    required, version = _requirements()[0], platform.python_version()
    cores = os.cpu_count()
    values = {"python": version, "system": platform.platform(), "cores": cores}
    if SpecifierSet(required).contains(version, prereleases=True):
        text = f"{version}, {platform.system()}, {cores} cores"
        if without := _without_release():
            text += f"; no release for this Python yet: {', '.join(without)}"
        yield Finding(OK, text, values)
    else:
        yield Finding(ERROR, f"{version} is not {required}: install a version that is", values)


def _without_release() -> list[str]:
    """Lists the packages of extras that a later release must bring to this Python."""
    from packaging.requirements import Requirement

    _, texts, extras = _requirements()
    marked = [(r.name, r.marker) for r in map(Requirement, texts) if r.marker]
    return [
        f"{name} (extra {extra})"
        for name, marker in marked
        for extra in extras
        if marker.evaluate({"extra": extra, "python_version": "3.13"})
        and not marker.evaluate({"extra": extra})
    ]


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    _, texts, extras = _requirements()
    versions, problems = {}, []
    for requirement in map(Requirement, texts):
        marker, name = requirement.marker, requirement.name
        optional = marker is not None and not marker.evaluate({"extra": ""})
        # The pins for developers are not requirements of a machine that animates faces.
        used = [e for e in extras if e != "dev" and marker and marker.evaluate({"extra": e})]
        if optional and not used:
            continue
        version, remedy = _version(name), f"pip install '{name}{requirement.specifier}'"
        if version:
            versions[name] = version
            if not requirement.specifier.contains(version, prereleases=True):
                broken, what = _BREAKS.get(name, ("", ""))
                known = SpecifierSet(broken).contains(version) if broken else False
                effect = what if known else "nothing was tested with it"
                text = f"{name} {version} is not {requirement.specifier}, as required ({effect}): {remedy}"
                problems.append(Finding(WARNING, text))
        elif not optional:
            problems.append(Finding(ERROR, f"{name} is missing: {remedy}"))
    if len(several := [name for name in _OPENCVS if _version(name)]) > 1:
        text = (
            f"{' and '.join(several)} overwrite each other: uninstall all of them, then install"
            " mediapipe again, which brings the one that it needs"
        )
        problems.append(Finding(WARNING, text))
    yield from problems
    if not problems:
        listed = ", ".join(f"{name} {versions[name]}" for name in _KEY_PACKAGES if name in versions)
        text = f"{len(versions)} are within their ranges ({listed})"
        yield Finding(OK, text, {"versions": versions})


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[Finding]:
    import jax

    devices, backend = jax.devices(), jax.default_backend()
    kinds = sorted({device.device_kind for device in devices})
    values = {"backend": backend, "count": len(devices), "kinds": kinds}
    plural = "s" if len(devices) > 1 else ""
    yield Finding(OK, f"jax uses {len(devices)} device{plural} ({', '.join(kinds)})", values)
    if backend != "cpu":
        return
    platforms = os.environ.get("JAX_PLATFORMS")
    for names, kind, extra in ((_gpus(), "GPU", "cuda"), (_tpus(), "TPU", "tpu")):
        if names:
            install = f"pip install 's2f_jax[{extra}]'"
            remedy = f"unset JAX_PLATFORMS, which is {platforms!r}" if platforms else install
            text = f"this machine has a {kind} ({names}), but jax finds only the CPU: {remedy}"
            yield Finding(WARNING, text)


def _gpus() -> str:
    """Returns the names of NVIDIA GPUs, from the driver if it answers; empty: none."""
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

    remedy = "pip install --force-reinstall --only-binary=av av"
    for name, codec in (("libx264", "H.264"), ("aac", "AAC")):
        try:
            av.codec.Codec(name, "w")
        except (ValueError, av.error.FFmpegError):
            text = f"PyAV {av.__version__} was built without {name} for {codec}: {remedy}"
            yield Finding(ERROR, text)
            return
    levels = np.arange(16, 240, 16, dtype=np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (len(levels), 32, 32, 3))
    tone = np.sin(np.arange(16000 * len(levels) // 25) / 10).astype(np.float32) / 2
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "round_trip.mp4")
        writer.write_video(path, frames, 25, tone, 16000)
        clip = decode.decode_clip(path)
    complete = clip.frames.shape == frames.shape and len(clip.audio) >= len(tone)
    if not complete or np.abs(clip.frames.astype(int) - frames).max() > 8 or clip.audio.std() < 0.2:
        text = f"PyAV {av.__version__} does not read back the video that it wrote: {remedy}"
        yield Finding(ERROR, text)
        return
    yield Finding(OK, f"H.264 and AAC can be written and read back (PyAV {av.__version__})")


def _landmark_model() -> Iterator[Finding]:
    from data_pipelines.faces import landmarks

    model = landmarks.MODEL
    path = download.local_model(model)
    if path is None:
        yield Finding(
            WARNING,
            f"{model.name} is not on this machine: it is downloaded when a portrait first needs it;"
            f" without a network, copy {model.url} here and set {model.variable} to its path",
        )
        return
    checksum = _checksum(path, model, "")
    if checksum.level != OK:
        yield checksum
    landmarks.FaceFinder(max_faces=1).close()  # Fails if the libraries under it do not work.
    if checksum.level == OK:
        yield checksum


def _embedder() -> Iterator[Finding]:
    from s2f_jax.metrics import embedders

    model = embedders.SFACE
    if path := download.local_model(model):
        yield _checksum(path, model, ", and `evaluate` will refuse it")
    else:
        text = f"{model.name} is not on this machine; only `evaluate` uses it, and downloads it"
        yield Finding(OK, text)


def _checksum(path: pathlib.Path, model: download.ModelFile, consequence: str) -> Finding:
    digest = download.file_digest(path, "sha256")
    values = {"path": str(path), "sha256": digest}
    if digest == model.sha256:
        return Finding(OK, f"{path} has the right checksum", values)
    text = f"{path} has the sha256 {digest} instead of {model.sha256}{consequence}"
    return Finding(WARNING, f"{text}: download {model.url} again", values)


def _disk_space(folder: pathlib.Path) -> Iterator[Finding]:
    for purpose, path in (("output", folder), ("cache", download.user_cache())):
        path = path.absolute()
        while not path.exists():
            path = path.parent
        free = shutil.disk_usage(path).free
        values = {"path": str(path), "free_bytes": free}
        text = f"{free / 1e9:.1f} GB are free for the {purpose} in {path}"
        if free >= _ENOUGH_DISK:
            yield Finding(OK, text, values)
        else:
            level = WARNING if free >= _MIN_DISK else ERROR
            yield Finding(level, f"only {text}: free some space", values)


def _memory() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    values = {"total_bytes": memory.total, "available_bytes": memory.available}
    text = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB are available"
    if memory.available < _MIN_MEMORY:
        text = f"only {text}, and {_MIN_MEMORY / 1e9:.0f} are needed: end other programs"
        yield Finding(WARNING, text, values)
    else:
        yield Finding(OK, text, values)


def _compilation_cache() -> Iterator[Finding]:
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(download.user_cache() / "xla")
    if "://" in folder:
        yield Finding(OK, f"compiled programs are cached in {folder}, not checked")
        return
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        yield Finding(
            WARNING,
            f"{folder} is not writable ({error.strerror}), so that programs are compiled anew each"
            " time: set JAX_COMPILATION_CACHE_DIR to a writable folder",
        )
        return
    yield Finding(OK, f"compiled programs are cached in {folder}", {"path": folder})
