"""What a generated video says about itself: that it is synthetic, and what made it.

Three marks, by default the first two: tags in the file, a JSON sidecar beside it, and a manifest
signed into it (C2PA; signing.py). The same seed gives the same file, so that only the sidecar has a
date.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr, unescape

import av
import av.error
import numpy as np
from etils import epath
from PIL import Image

from data_pipelines.common import download, files
from data_pipelines.common.errors import UserError
from s2f_jax.bundle import bundle
from s2f_jax.provenance import badge, c2pa
from s2f_jax.runs import workdir
from s2f_jax.runs.checkpoint import weights_sum
from s2f_jax.runs.restore import find_checkpoint

# IPTC's vocabulary of digital source types, which C2PA takes too.
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = _SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSITE = _SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
# The tag that holds the marks as JSON. It is one of the few that mp4 has a place of its own for, so
# that it outlives copying from container to container, which drops tags of invented names.
_MACHINE_READABLE = "synopsis"
NAME = "s2f_jax"
_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 Iptc4xmpExt:DigitalSourceType={source} xmp:CreatorTool={tool}>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{told}</rdf:li></rdf:Alt></dc:description>
<dc:source>{facts}</dc:source>
</rdf:Description></rdf:RDF></x:xmpmeta>
"""
_FACTS = re.compile(rb"<dc:source>([^<]*)</dc:source>")


@dataclasses.dataclass(frozen=True)
class Mark:
    """What made a video."""

    version: str  # Of this package.
    model: Mapping[str, Any]  # What `model` returns.
    seed: int
    inputs: Mapping[str, Mapping[str, str]]  # By what it is: file and sha256.
    composite: bool = False  # The face is blended into a photograph.

    @property
    def source_type(self) -> str:
        """The IPTC digital source type, an address."""
        return COMPOSITE if self.composite else GENERATED

    @property
    def facts(self) -> dict[str, Any]:
        """All but the names of files, which may be those of persons."""
        return {
            "synthetic": True,
            "digitalSourceType": self.source_type,
            "generator": {"name": NAME, "version": self.version},
            "model": dict(self.model),
            "seed": self.seed,
            "inputs": {what: {"sha256": of["sha256"]} for what, of in self.inputs.items()},
        }

    @property
    def metadata(self) -> dict[str, str]:
        """Tags for the container: for people in those that players show, for machines as JSON.

        For an mp4 of any kind; without the movflag use_metadata_tags, under which no player but
        FFmpeg finds them.
        """
        return {
            "title": "AI-generated video",
            "comment": self._told,
            "description": self._told,
            "keywords": "synthetic, AI-generated, " + self.source_type.rsplit("/", 1)[-1],
            "encoding_tool": f"{NAME} {self.version}",
            _MACHINE_READABLE: json.dumps(self.facts, sort_keys=True),
        }

    @property
    def xmp(self) -> bytes:
        """The same for people and for machines, as pictures have it: IPTC's and Dublin Core's fields."""
        facts = json.dumps(self.facts, sort_keys=True)
        return _XMP.format(
            source=quoteattr(self.source_type),
            tool=quoteattr(f"{NAME} {self.version}"),
            told=escape(self._told),
            facts=escape(facts),
        ).encode()

    @property
    def _told(self) -> str:
        beside = "Parts of the picture are a camera's." if self.composite else "No camera saw this."
        return (
            f"Synthetic: a face animated by {NAME} {self.version} from one picture and a recording"
            f" of speech. {beside}"
        )

    def video(self, seed: int, **inputs: str | os.PathLike) -> "Mark":
        """The same for a video of its own seed and inputs. Raises UserError as `mark` does."""
        return dataclasses.replace(self, seed=seed, inputs=_sums(inputs))

    def sidecar(
        self, video_path: str | os.PathLike, frames: int, fps: float, target: str | None = None
    ) -> None:
        """Writes <video>.json for a finished (and signed) video, whole or not at all.

        target: where the video will be, if it is elsewhere yet.
        Raises:
          UserError: it cannot be written there, or the video cannot be read.
        """
        place = target or os.fspath(video_path)
        about = {"file": epath.Path(place).name, "sha256": _digest(video_path)}
        contents = self.facts | {
            "inputs": {what: dict(of) for what, of in self.inputs.items()},
            "video": about | {"frames": frames, "fps": fps},
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        text = json.dumps(contents, indent=2) + "\n"
        files.write_atomically(sidecar_path(place), text.encode())

    def badge(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 [T, H, W, 3] -> copies with a small visible badge in the corner."""
        return badge.add(frames)

    def sign(
        self,
        video_path: str | os.PathLike,
        signer: c2pa.Signer,
        title: str | None = None,
    ) -> None:
        """Signs a C2PA manifest with these facts into a finished video, before its sidecar.

        title: by default the file's name.
        Raises UserError without the extra `c2pa` and for what cannot sign; the video is as it was.
        """
        facts = self.facts
        path = pathlib.Path(video_path)
        claim = c2pa.Claim(title or path.name, self.source_type, facts["generator"], facts)
        c2pa.sign(path, claim, signer)


def mark(
    checkpoint: epath.PathLike,
    seed: int,
    inputs: Mapping[str, str | os.PathLike],
    *,
    composite: bool = False,
) -> Mark:
    """What a video is about to be made from.

    checkpoint: as `model` has it. inputs: files by what they are ("image", "audio"). composite: the
    face is blended into a photograph.

    Raises:
      UserError: there is no checkpoint, or a file cannot be read.
    """
    return Mark(workdir.version(NAME), model(checkpoint), seed, _sums(inputs), composite)


def _sums(inputs: Mapping[str, str | os.PathLike]) -> dict[str, dict[str, str]]:
    return {
        what: {"file": pathlib.Path(path).name, "sha256": _digest(path)}
        for what, path in inputs.items()
    }


def model(checkpoint: epath.PathLike) -> dict[str, Any]:
    """What tells a model from any others': run, config_sha256, step, and sum of the weights.

    checkpoint: a run's workdir, one of its checkpoints, or an exported bundle; of that the same, as
    the checkpoint had it that it was made from, and the type and sum of its own weights.
    Raises UserError where there is none, or a damaged one.
    """
    if bundle.is_bundle(checkpoint):
        return bundle.model_identity(checkpoint)
    folder, step = find_checkpoint(checkpoint)
    return {
        "run": folder.name,
        "config_sha256": hashlib.sha256(_config(folder)).hexdigest(),
        "step": step,
        "sum": weights_sum(folder, step, "generator"),
    }


def sidecar_path(video_path: str | os.PathLike) -> epath.Path:
    """talk.mp4 -> talk.mp4.json"""
    path = epath.Path(video_path)
    return path.with_name(path.name + ".json")


@dataclasses.dataclass(frozen=True)
class Said:
    """What a video says about itself."""

    tags: Mapping[str, str]  # Of the container.
    facts: Mapping[str, Any] | None  # Mark.facts out of tags or XMP; None: they hold none.
    sidecar: Mapping[str, Any] | None  # None: there is none.
    unchanged: bool | None  # Whether the video is the one that its sidecar was written for.
    manifest: c2pa.Manifest | None  # None: it is not signed, or the extra `c2pa` is missing.

    @property
    def synthetic(self) -> bool:
        """Whether any of its marks says so."""
        marks = [said.get("synthetic") is True for said in (self.facts, self.sidecar) if said]
        signed = self.manifest is not None and "lgorithmicMedia" in self.manifest.source_type
        return signed or any(marks)


def read_marks(video_path: str | os.PathLike) -> Said:
    """What a video, a sound file or a moving picture says about itself.

    Raises:
      UserError: there is no such file, it cannot be read, or its sidecar is damaged.
    """
    path = pathlib.Path(video_path)
    digest = _digest(path)
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            tags = dict(container.metadata)
    except av.error.FFmpegError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give a file that plays"
        ) from error
    sidecar = unchanged = None
    if sidecar_path(path).exists():
        sidecar = _object(sidecar_path(path).read_bytes().decode(errors="replace"))
        if sidecar is None:
            raise UserError(f"{sidecar_path(path)} is damaged: it is no JSON object; remove it")
        about = sidecar.get("video")
        unchanged = isinstance(about, dict) and about.get("sha256") == digest
    facts = _object(tags.get(_MACHINE_READABLE) or _facts_of_picture(path))
    return Said(tags, facts, sidecar, unchanged, c2pa.read_manifest(path))


def _facts_of_picture(path: pathlib.Path) -> str:
    """What Mark.xmp says of facts in a picture; empty where it is none, or says nothing."""
    try:
        with Image.open(path) as picture:
            xmp = picture.info.get("xmp", b"")
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    found = _FACTS.search(xmp)
    return unescape(found[1].decode(errors="replace")) if found else ""


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None  # Of another program's.
    return value if isinstance(value, dict) else None


def _config(folder: epath.Path) -> bytes:
    try:
        return (folder / "config.json").read_bytes()
    except OSError as error:
        raise UserError(
            f"{folder}/config.json cannot be read ({error.strerror}): give a run's workdir"
        ) from error


def _digest(path: str | os.PathLike) -> str:
    try:
        return download.file_digest(files.require_file(path, "input"), "sha256")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path") from error
