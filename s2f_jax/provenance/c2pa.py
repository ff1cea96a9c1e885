"""C2PA manifests in videos: signed by a person's certificate, and read back (extra `c2pa`)."""

import dataclasses
import io
import os
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np

from data_pipelines.common.errors import UserError

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
# Neither manifests nor the state of certificates are fetched.
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
_CHAIN = (
    "a PEM file with the signer's certificate first, for e-mail protection, document signing or C2PA,"
    " then its authorities'"
)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The newest manifest of a file."""

    intact: bool  # Nothing has changed since it was signed.
    trusted: bool  # By an authority that c2pa was told of.
    signer: str
    source_type: str  # An IPTC digital source type's address, empty: not said.


@dataclasses.dataclass(frozen=True)
class Claim:
    """What is signed of a new file."""

    title: str  # A file's name.
    source_type: str  # An IPTC digital source type's address.
    generator: Mapping[str, str]  # name and version.
    facts: Mapping[str, Any]  # Anything that JSON can hold.

    @property
    def manifest(self) -> dict[str, Any]:
        """As C2PA wants it."""
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
    """Who signs: the places of two PEM files."""

    certificate: str | os.PathLike  # The signer's own first, then those up to its authority.
    key: str | os.PathLike  # Without a password.


def sign(video: pathlib.Path, claim: Claim, signer: Signer) -> None:
    """Signs a claim into an mp4, which is replaced by the signed one, whole or not at all.

    No time stamp is fetched: after the certificate's end, the signature counts no more.

    Raises:
      UserError: without the extra, for a certificate or key that cannot sign, for no video.
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


def check(signer: Signer) -> None:
    """Whether it can sign, before any work: it signs a picture of one pixel.

    Raises:
      UserError: as sign does.
    """
    pixel = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    claim = Claim("check", "http://c2pa.org/digitalsourcetype/empty", {"name": "check"}, {})
    _sign("image/png", io.BytesIO(pixel), io.BytesIO(), claim, signer)


def read_manifest(video: pathlib.Path) -> Manifest | None:
    """What is signed into a file; None: nothing, or the extra is missing."""
    try:
        import c2pa
    except ImportError:
        return None
    context = c2pa.Context(c2pa.Settings.from_dict(_OFFLINE))
    try:
        reader = c2pa.Reader.try_create(str(video), None, None, context)
    except c2pa.C2paError as error:
        if str(error).startswith("NotSupported"):
            return None  # A kind of file that holds no manifests.
        return Manifest(intact=False, trusted=False, signer="", source_type="")
    if reader is None:
        return None
    with reader:
        found = reader.get_active_manifest() or {}
        results = reader.get_validation_results() or {}
    failures = (results.get("activeManifest") or {}).get("failure") or []
    codes = {failure.get("code") for failure in failures}
    actions = [
        action
        for assertion in found.get("assertions") or []
        if assertion.get("label", "").startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]
    return Manifest(
        intact=codes <= {"signingCredential.untrusted"},
        trusted=not codes,
        signer=(found.get("signature_info") or {}).get("common_name", ""),
        source_type=next((a["digitalSourceType"] for a in actions if "digitalSourceType" in a), ""),
    )


def _sign(kind: str, source: Any, target: Any, claim: Claim, signer: Signer) -> None:
    try:
        import c2pa
    except ImportError as error:
        raise UserError(
            f"signing needs a package that is missing ({error}): pip install 's2f_jax[c2pa]'"
        ) from error
    certificate, key = signer
    chain, secret = _contents(certificate, "certificate"), _contents(key, "key")
    algorithm = _algorithm(secret, key)
    try:
        signs = c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, chain, secret, None))
        context = c2pa.Context(c2pa.Settings.from_dict(_OFFLINE))
        c2pa.Builder(claim.manifest, context).sign(signs, kind, source, target)
    except c2pa.C2paError as error:
        reason = " ".join(str(error).split()).removeprefix("Signature: ")
        raise UserError(
            f"the certificate {certificate} and the key {key} cannot sign ({reason}): give {_CHAIN},"
            " and its own key"
        ) from error


def _contents(path: str | os.PathLike, what: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"the {what} {path} cannot be read ({error.strerror}): check it") from error


def _algorithm(secret: bytes, path: str | os.PathLike) -> str:
    """What a private key signs with, as C2PA names it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        key = serialization.load_pem_private_key(secret, None)
    except TypeError as error:
        raise UserError(f"the key {path} is encrypted: give it without a password") from error
    except ValueError as error:
        raise UserError(f"{path} is no private key: give one in PEM") from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise UserError(f"the key {path} is of a kind that C2PA has not: give RSA, P-256 or Ed25519")
