"""Provenance of generated videos: what marks them as synthetic and records what made them.

Three carriers, by default the first two: tags in the container, a JSON sidecar beside the file, and a
C2PA manifest signed into it (c2pa.py). The same seed gives the same file byte for byte, which is why
only the sidecar has a date.
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

import av.error
import numpy as np
from etils import epath
from PIL import Image

from data_pipelines.common import download, files
from data_pipelines.common.errors import UserError
from data_pipelines.media import containers
from s2f_jax.bundle import bundle
from s2f_jax.provenance import badge, c2pa
from s2f_jax.runs import workdir
from s2f_jax.runs.checkpoint import weights_sum
from s2f_jax.runs.restore import find_checkpoint, generator_name

# IPTC's vocabulary of digital source types, which C2PA uses too.
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = _SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSITE = _SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
# The tag that holds the record as JSON. MP4 has a box of its own for it, so that it survives remuxing
# into other containers, which drops tags of unknown names.
_JSON_TAG = "synopsis"
NAME = "s2f_jax"
_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 Iptc4xmpExt:DigitalSourceType={source_type} xmp:CreatorTool={tool}>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt></dc:description>
<dc:source>{facts}</dc:source>
</rdf:Description></rdf:RDF></x:xmpmeta>
"""
_XMP_FACTS = re.compile(rb"<dc:source>([^<]*)</dc:source>")


@dataclasses.dataclass(frozen=True)
class ProvenanceRecord:
    """What a generated video was made with: model, seed and inputs.

    Attributes:
      version: Version of this package.
      model: The model's identity, as `model_identity` returns it.
      seed: Seed of the noise.
      inputs: Role of each input ("image", "audio") -> its file name ("file") and checksum ("sha256").
      composite: Whether the generated face is blended into a photograph.
    """

    version: str
    model: Mapping[str, Any]
    seed: int
    inputs: Mapping[str, Mapping[str, str]]
    composite: bool = False

    @property
    def source_type(self) -> str:
        """The IPTC digital source type, a URI."""
        return COMPOSITE if self.composite else GENERATED

    @property
    def facts(self) -> dict[str, Any]:
        """The record as JSON, without file names, which may be names of persons."""
        return {
            "synthetic": True,
            "digitalSourceType": self.source_type,
            "generator": {"name": NAME, "version": self.version},
            "model": dict(self.model),
            "seed": self.seed,
            "inputs": {role: {"sha256": source["sha256"]} for role, source in self.inputs.items()},
        }

    @property
    def metadata(self) -> dict[str, str]:
        """The container's tags: text for people in those that players show, JSON for programs.

        For MP4 written without the movflag use_metadata_tags, under which only FFmpeg finds them.
        """
        return {
            "title": "AI-generated video",
            "comment": self._description,
            "description": self._description,
            "keywords": "synthetic, AI-generated, " + self.source_type.rsplit("/", 1)[-1],
            "encoding_tool": self._tool,
            _JSON_TAG: json.dumps(self.facts, sort_keys=True),
        }

    @property
    def xmp(self) -> bytes:
        """The same as an XMP packet for images, in IPTC's and Dublin Core's fields."""
        return _XMP.format(
            source_type=quoteattr(self.source_type),
            tool=quoteattr(self._tool),
            description=escape(self._description),
            facts=escape(json.dumps(self.facts, sort_keys=True)),
        ).encode()

    @property
    def _tool(self) -> str:
        return f"{NAME} {self.version}"

    @property
    def _description(self) -> str:
        camera = "Parts of the picture are a camera's." if self.composite else "No camera saw this."
        return (
            f"Synthetic: a face animated by {self._tool} from one picture and a recording"
            f" of speech. {camera}"
        )

    def for_video(self, seed: int, **inputs: str | os.PathLike) -> "ProvenanceRecord":
        """Returns the record of one video by the same model.

        Args:
          seed: The video's seed.
          **inputs: Input files by role ("image", "audio").

        Returns:
          A copy with this seed and the checksums of these files.

        Raises:
          UserError: A file is missing or cannot be read.
        """
        return dataclasses.replace(self, seed=seed, inputs=_checksums(inputs))

    def write_sidecar(
        self, video_path: str | os.PathLike, frames: int, fps: float, target: str | None = None
    ) -> None:
        """Writes the sidecar `<video>.json` of a finished (and signed) video atomically.

        Args:
          video_path: The video file, whose checksum the sidecar holds.
          frames: Number of frames.
          fps: Frame rate in frames/s.
          target: The video's final path if it is still elsewhere; the sidecar is written there.

        Raises:
          UserError: The video cannot be read, or the sidecar cannot be written.
        """
        final = target or os.fspath(video_path)
        video = {"file": epath.Path(final).name, "sha256": _sha256(video_path)}
        contents = self.facts | {
            "inputs": {role: dict(source) for role, source in self.inputs.items()},
            "video": video | {"frames": frames, "fps": fps},
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        text = json.dumps(contents, indent=2) + "\n"
        files.write_atomically(sidecar_path(final), text.encode())

    def add_badge(self, frames: np.ndarray) -> np.ndarray:
        """Draws the visible "AI-generated" badge into the lower right corner.

        Args:
          frames: uint8 [T, H, W, 3].

        Returns:
          Copies with the badge, uint8 [T, H, W, 3].
        """
        return badge.add_badge(frames)

    def sign(
        self, video_path: str | os.PathLike, signer: c2pa.Signer, title: str | None = None
    ) -> None:
        """Signs a C2PA manifest of this record into a finished video; before its sidecar.

        Args:
          video_path: The MP4 file, left unchanged if signing fails.
          signer: Certificate chain and private key.
          title: Title in the manifest; default the file's name.

        Raises:
          UserError: The extra `c2pa` is missing, or certificate, key or video cannot be used.
        """
        facts = self.facts
        path = pathlib.Path(video_path)
        claim = c2pa.Claim(title or path.name, self.source_type, facts["generator"], facts)
        c2pa.sign(path, claim, signer)


def provenance_record(
    checkpoint: epath.PathLike,
    seed: int,
    inputs: Mapping[str, str | os.PathLike],
    *,
    composite: bool = False,
) -> ProvenanceRecord:
    """Records what a video is about to be generated from.

    Args:
      checkpoint: A workdir, one of its checkpoints, or an exported bundle.
      seed: Seed of the noise.
      inputs: Input files by role ("image", "audio").
      composite: Whether the face is blended into a photograph.

    Returns:
      The record, with the checksums of model and inputs.

    Raises:
      UserError: There is no checkpoint, or a file cannot be read.
    """
    return ProvenanceRecord(
        workdir.version(NAME), model_identity(checkpoint), seed, _checksums(inputs), composite
    )


def model_identity(checkpoint: epath.PathLike) -> dict[str, Any]:
    """Identifies a model by its run, config, step and weights.

    Args:
      checkpoint: A run's workdir, one of its checkpoints, or an exported bundle.

    Returns:
      "run", "config_sha256", "step" and "sum" (checksum of the generator's weights). Of a bundle,
      those of the checkpoint that it was exported from, and type and checksum of its own weights.

    Raises:
      UserError: There is no checkpoint, or it is damaged.
    """
    if bundle.is_bundle(checkpoint):
        return bundle.model_identity(checkpoint)
    folder, step = find_checkpoint(checkpoint)
    return {
        "run": folder.name,
        "config_sha256": hashlib.sha256(_read_config(folder)).hexdigest(),
        "step": step,
        "sum": weights_sum(folder, step, generator_name(folder, step)),
    }


def sidecar_path(video_path: str | os.PathLike) -> epath.Path:
    """Returns the path of a video's sidecar.

    Args:
      video_path: E.g. talk.mp4.

    Returns:
      E.g. talk.mp4.json.
    """
    path = epath.Path(video_path)
    return path.with_name(path.name + ".json")


@dataclasses.dataclass(frozen=True)
class DetectedProvenance:
    """The provenance data found in and beside a media file.

    Attributes:
      tags: The container's tags.
      facts: `ProvenanceRecord.facts` from the tags or the XMP packet; None if they hold none.
      sidecar: The sidecar's contents; None if there is no sidecar.
      unchanged: Whether the file has the checksum in its sidecar; None if there is no sidecar.
      manifest: The C2PA manifest; None if unsigned, or if the extra `c2pa` is missing.
    """

    tags: Mapping[str, str]
    facts: Mapping[str, Any] | None
    sidecar: Mapping[str, Any] | None
    unchanged: bool | None
    manifest: c2pa.Manifest | None

    @property
    def synthetic(self) -> bool:
        """Whether tags, sidecar or manifest declare the file synthetic."""
        declared = any((r or {}).get("synthetic") is True for r in (self.facts, self.sidecar))
        signed = self.manifest is not None and "lgorithmicMedia" in self.manifest.source_type
        return signed or declared


def read_provenance(path: str | os.PathLike) -> DetectedProvenance:
    """Reads the provenance data of a video, sound file or animated image.

    Args:
      path: The media file; its sidecar is looked for beside it.

    Returns:
      The marks found in tags, XMP packet, sidecar and manifest.

    Raises:
      UserError: The file is missing or cannot be read, or its sidecar is damaged.
    """
    path = pathlib.Path(path)
    digest = _sha256(path)
    try:
        with containers.open_media(path) as container:
            tags = containers.read_tags(container)
    except av.error.FFmpegError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give a file that plays"
        ) from error
    sidecar = unchanged = None
    if sidecar_path(path).exists():
        sidecar = _json_object(sidecar_path(path).read_bytes().decode(errors="replace"))
        if sidecar is None:
            raise UserError(f"{sidecar_path(path)} is damaged: not a JSON object; remove it")
        video = sidecar.get("video")
        unchanged = isinstance(video, dict) and video.get("sha256") == digest
    facts = _json_object(tags.get(_JSON_TAG) or _facts_in_xmp(path))
    return DetectedProvenance(tags, facts, sidecar, unchanged, c2pa.read_manifest(path))


def _checksums(inputs: Mapping[str, str | os.PathLike]) -> dict[str, dict[str, str]]:
    return {
        role: {"file": pathlib.Path(path).name, "sha256": _sha256(path)}
        for role, path in inputs.items()
    }


def _facts_in_xmp(path: pathlib.Path) -> str:
    """Returns the JSON of the facts in an image's XMP packet; empty if not an image or without one."""
    try:
        with Image.open(path) as image:
            xmp = image.info.get("xmp", b"")
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    match = _XMP_FACTS.search(xmp)
    return unescape(match[1].decode(errors="replace")) if match else ""


def _json_object(text: str) -> dict[str, Any] | None:
    """Returns the JSON object in a text; None for anything else, e.g. another program's synopsis."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read_config(folder: epath.Path) -> bytes:
    try:
        return (folder / "config.json").read_bytes()
    except OSError as error:
        raise UserError(
            f"{folder}/config.json cannot be read ({error.strerror}): give a run's workdir"
        ) from error


def _sha256(path: str | os.PathLike) -> str:
    try:
        return download.file_digest(files.require_file(path, "input"), "sha256")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path") from error
