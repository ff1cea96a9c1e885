"""C2PA manifests in videos: signed with a person's certificate, and read back (extra `c2pa`)."""

import dataclasses
import io
import os
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import cv2
import numpy as np

from data_pipelines.common.errors import UserError

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
# No remote manifests and no revocation status are fetched.
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
_CHAIN_HINT = (
    "a PEM file with the signer's certificate first, for e-mail protection, document signing or C2PA,"
    " then its authorities'"
)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The active manifest of a file.

    Attributes:
      intact: Whether the file is unchanged since it was signed.
      trusted: Whether the certificate leads to an authority on c2pa's trust list.
      signer: Common name in the signer's certificate.
      source_type: URI of the IPTC digital source type; empty if absent.
    """

    intact: bool
    trusted: bool
    signer: str
    source_type: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """What is signed about a new file.

    Attributes:
      title: The file's name.
      source_type: URI of the IPTC digital source type.
      generator: "name" and "version" of the program.
      facts: The provenance record, JSON values.
    """

    title: str
    source_type: str
    generator: Mapping[str, str]
    facts: Mapping[str, Any]

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest definition that c2pa's builder takes."""
        created = {
            "action": "c2pa.created",
            "digitalSourceType": self.source_type,
            "softwareAgent": self.generator,
        }
        return {
            "title": self.title,
            "claim_generator_info": [self.generator],
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
                {"label": "org.s2f-jax.generation", "data": self.facts},
            ],
        }


class Signer(NamedTuple):
    """A signer's two PEM files.

    Attributes:
      certificate: The certificate chain, the signer's own first, then up to its authority.
      key: The private key, not encrypted.
    """

    certificate: str | os.PathLike
    key: str | os.PathLike


def sign(video: pathlib.Path, claim: Claim, signer: Signer) -> None:
    """Signs a claim into an MP4, replacing the file atomically.

    No time stamp is fetched: the signature is valid no longer than the certificate.

    Args:
      video: The MP4 file; left unchanged if signing fails.
      claim: What is signed.
      signer: Certificate chain and private key.

    Raises:
      UserError: The extra `c2pa` is missing, or certificate, key or video cannot be used.
    """
    part = video.with_name(f".{video.stem}.{uuid.uuid4().hex[:8]}.part{video.suffix}")
    try:
        with video.open("rb") as source, part.open("w+b") as target:
            _sign("video/mp4", source, target, claim, signer)
        part.replace(video)
    except OSError as error:
        raise UserError(
            f"{video} cannot be signed ({error.strerror}): give a video in a folder you can write to"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def check_signer(signer: Signer) -> None:
    """Tests a signer on an image of one pixel, so that it fails before any work is done.

    Args:
      signer: Certificate chain and private key.

    Raises:
      UserError: The file cannot be signed (see `sign`).
    """
    pixel = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    claim = Claim("check", "http://c2pa.org/digitalsourcetype/empty", {"name": "check"}, {})
    _sign("image/png", io.BytesIO(pixel), io.BytesIO(), claim, signer)


def read_manifest(video: pathlib.Path) -> Manifest | None:
    """Reads and verifies the C2PA manifest of a file.

    Args:
      video: A media file of any kind.

    Returns:
      The active manifest; None if there is none, or if the extra `c2pa` is missing.
    """
    try:
        import c2pa
    except ImportError:
        return None
    context = c2pa.Context(c2pa.Settings.from_dict(_OFFLINE))
    try:
        reader = c2pa.Reader.try_create(str(video), None, None, context)
    except c2pa.C2paError as error:
        if str(error).startswith("NotSupported"):
            return None  # A file format that cannot hold a manifest.
        return Manifest(intact=False, trusted=False, signer="", source_type="")
    if reader is None:
        return None
    with reader:
        manifest = reader.get_active_manifest() or {}
        results = reader.get_validation_results() or {}
    failures = (results.get("activeManifest") or {}).get("failure") or []
    codes = {failure.get("code") for failure in failures}
    actions = [
        action
        for assertion in manifest.get("assertions") or []
        if assertion.get("label", "").startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]
    return Manifest(
        intact=codes <= {"signingCredential.untrusted"},
        trusted=not codes,
        signer=(manifest.get("signature_info") or {}).get("common_name", ""),
        source_type=next((a["digitalSourceType"] for a in actions if "digitalSourceType" in a), ""),
    )


def _sign(mime_type: str, source: BinaryIO, target: BinaryIO, claim: Claim, signer: Signer) -> None:
    try:
        import c2pa
    except ImportError as error:
        raise UserError(
            f"signing needs a package that is missing ({error}): pip install 's2f_jax[c2pa]'"
        ) from error
    certificate, key = signer
    chain, secret = _read_pem(certificate, "certificate"), _read_pem(key, "key")
    algorithm = _signing_algorithm(secret, key)
    try:
        native = c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, chain, secret, None))
        context = c2pa.Context(c2pa.Settings.from_dict(_OFFLINE))
        c2pa.Builder(claim.manifest, context).sign(native, mime_type, source, target)
    except c2pa.C2paError as error:
        reason = " ".join(str(error).split()).removeprefix("Signature: ")
        raise UserError(
            f"--certificate={certificate} and --key={key} cannot sign ({reason}): give {_CHAIN_HINT},"
            " and its own key"
        ) from error


def _read_pem(path: str | os.PathLike, flag: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"--{flag}={path} cannot be read ({error.strerror}): check the path"
        ) from error


def _signing_algorithm(secret: bytes, path: str | os.PathLike) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        key = serialization.load_pem_private_key(secret, None)
    except TypeError as error:
        raise UserError(f"--key={path} is encrypted: give it without a password") from error
    except ValueError as error:
        raise UserError(f"--key={path} is not a private key in PEM format: give one") from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise UserError(f"--key={path} is of a type that C2PA lacks: give RSA, P-256 or Ed25519")
