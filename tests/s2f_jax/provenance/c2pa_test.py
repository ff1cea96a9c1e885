"""C2PA: what is signed can be read back by its own reader, and what cannot sign is refused."""

import functools
import json
import sys

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from data_pipelines.common.errors import UserError
from data_pipelines.media import decode, writer
from s2f_jax.provenance import marks
from s2f_jax.provenance.c2pa import Manifest, Signer, check_signer
from tests import certificates

RECORD = marks.ProvenanceRecord(
    "0.1.0", {"run": "tiny", "config_sha256": "ab", "step": 3, "sum": "cd"}, 7, {}
)


@pytest.fixture
def signer(tmp_path):
    return functools.partial(certificates.signer, tmp_path)


@pytest.fixture
def video(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    writer.write_video(tmp_path / "talk.mp4", frames, 25, np.zeros(3200, np.float32), 16000)
    return tmp_path / "talk.mp4"


@pytest.mark.parametrize(
    "kind",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ed25519.Ed25519PrivateKey.generate(),
        lambda: rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
def test_a_signed_video_states_how_it_was_made_and_plays_as_before(video, signer, tmp_path, kind):
    import c2pa

    before = decode.decode_clip(video)
    check_signer(keys := signer(kind()))
    RECORD.sign(video, keys)
    after = decode.decode_clip(video)
    np.testing.assert_array_equal(after.frames, before.frames)
    np.testing.assert_array_equal(after.audio, before.audio)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chain.pem", "key.pem", "talk.mp4"]
    with c2pa.Reader(str(video)) as reader:
        manifest = reader.get_active_manifest()
        assert reader.get_validation_state() == "Valid"
    assertions = {a["label"]: a["data"] for a in manifest["assertions"]}
    (created,) = assertions["c2pa.actions.v2"]["actions"]
    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"] == marks.GENERATED
    assert assertions["org.s2f-jax.generation"] == json.loads(json.dumps(RECORD.facts))
    assert manifest["claim_generator_info"][0]["name"] == "s2f_jax"
    detected = marks.read_provenance(video)
    assert detected.synthetic  # By the manifest alone.
    assert detected.manifest == Manifest(True, False, "signer", marks.GENERATED)


def test_a_change_after_signing_is_detected(video, signer):
    RECORD.sign(video, signer())
    data = bytearray(video.read_bytes())
    place = data.rindex(b"mdat") + 40
    data[place] ^= 1
    video.write_bytes(data)
    manifest = marks.read_provenance(video).manifest
    assert manifest and not manifest.intact


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"usage": None}, r"cannot sign \(the certificate is invalid\): give a PEM file"),
        ({"last_day": -1}, r"cannot sign \(the certificate .*\): give a PEM file"),
        (
            {"secret": certificates.pem(certificates.AUTHORITY)},
            r"cannot sign \(.* does not match .*\): give a PEM file",
        ),
        (
            {"secret": certificates.pem(certificates.AUTHORITY, b"x")},
            r"--key=.*key.pem is encrypted: give it without a password",
        ),
        ({"secret": b"key"}, "key.pem is not a private key in PEM format: give one"),
        (
            {"key": ec.generate_private_key(ec.SECP256K1())},
            "key.pem is of a type that C2PA lacks: give RSA",
        ),
    ],
)
def test_unusable_credentials_are_refused_and_the_video_is_unchanged(
    video, signer, tmp_path, wrong, message
):
    before = video.read_bytes()
    chain, key = signer(**wrong)
    files = sorted(tmp_path.iterdir())
    for call in (
        lambda: RECORD.sign(video, Signer(chain, key)),
        lambda: check_signer(Signer(chain, key)),
    ):
        with pytest.raises(UserError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
    assert video.read_bytes() == before and sorted(tmp_path.iterdir()) == files


def test_unreadable_files_are_refused(video, signer, tmp_path):
    chain, key = signer()
    with pytest.raises(UserError, match=r"--certificate=.*no.pem cannot be read \(No such file"):
        RECORD.sign(video, Signer(tmp_path / "no.pem", key))
    with pytest.raises(UserError, match=r"--key=.* cannot be read \(Is a directory\)"):
        RECORD.sign(video, Signer(chain, tmp_path))
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(UserError, match="text.pem and --key=.* cannot sign"):
        RECORD.sign(video, Signer(tmp_path / "text.pem", key))
    with pytest.raises(UserError, match="no.mp4 cannot be signed .*: give a video"):
        RECORD.sign(tmp_path / "no.mp4", Signer(chain, key))


def test_without_the_package_signing_is_refused_and_reading_goes_on(video, signer, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(UserError, match=r"pip install 's2f_jax\[c2pa\]'"):
        RECORD.sign(video, signer())
    assert marks.read_provenance(video).manifest is None
