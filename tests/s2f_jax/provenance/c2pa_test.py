"""C2PA: what is signed can be read back by its own reader, and what cannot sign is told."""

import functools
import json
import sys

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from data_pipelines.common.errors import UserError
from data_pipelines.media import decode, writer
from s2f_jax.provenance import marks
from s2f_jax.provenance.c2pa import Manifest, Signer, check
from tests import certificates

MARK = marks.Mark("0.1.0", {"run": "tiny", "config_sha256": "ab", "step": 3, "sum": "cd"}, 7, {})


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
def test_a_signed_video_says_how_it_was_made_and_plays_as_before(video, signer, tmp_path, kind):
    import c2pa

    before = decode.decode_clip(video)
    check(keys := signer(kind()))
    MARK.sign(video, keys)
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
    assert assertions["org.s2f-jax.generation"] == json.loads(json.dumps(MARK.facts))
    assert manifest["claim_generator_info"][0]["name"] == "s2f_jax"
    said = marks.read_marks(video)
    assert said.synthetic  # By the manifest alone.
    assert said.manifest == Manifest(True, False, "signer", marks.GENERATED)


def test_a_signed_video_that_was_changed_is_found_out(video, signer):
    MARK.sign(video, signer())
    data = bytearray(video.read_bytes())
    place = data.rindex(b"mdat") + 40
    data[place] ^= 1
    video.write_bytes(data)
    manifest = marks.read_marks(video).manifest
    assert manifest and not manifest.intact


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"usage": None}, r"cannot sign \(the certificate is invalid\): give a PEM file"),
        ({"last_day": -1}, r"cannot sign \(the certificate .*\): give a PEM file"),
        (
            {"secret": certificates.pem(certificates.AUTHORITY)},
            r"cannot sign \(.* does not match .*\): give a PEM file",
        ),
        (
            {"secret": certificates.pem(certificates.AUTHORITY, b"x")},
            "key.pem is encrypted: give it without a password",
        ),
        ({"secret": b"key"}, "key.pem is no private key: give one in PEM"),
        (
            {"key": ec.generate_private_key(ec.SECP256K1())},
            "key.pem is of a kind that C2PA has not",
        ),
    ],
)
def test_what_cannot_sign_is_told_and_the_video_is_left(video, signer, tmp_path, wrong, said):
    before = video.read_bytes()
    chain, key = signer(**wrong)
    files = sorted(tmp_path.iterdir())
    for call in (
        lambda: MARK.sign(video, Signer(chain, key)),
        lambda: check(Signer(chain, key)),
    ):
        with pytest.raises(UserError, match=said) as told:
            call()
        assert "\n" not in str(told.value)
    assert video.read_bytes() == before and sorted(tmp_path.iterdir()) == files


def test_files_that_are_none_are_told(video, signer, tmp_path):
    chain, key = signer()
    with pytest.raises(UserError, match=r"the certificate .*no.pem cannot be read \(No such file"):
        MARK.sign(video, Signer(tmp_path / "no.pem", key))
    with pytest.raises(UserError, match=r"the key .* cannot be read \(Is a directory\)"):
        MARK.sign(video, Signer(chain, tmp_path))
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(UserError, match="text.pem and the key .* cannot sign"):
        MARK.sign(video, Signer(tmp_path / "text.pem", key))
    with pytest.raises(UserError, match="no.mp4 cannot be signed .*: give a video"):
        MARK.sign(tmp_path / "no.mp4", Signer(chain, key))


def test_without_the_package_signing_is_refused_and_reading_goes_on(video, signer, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(UserError, match=r"pip install 's2f_jax\[c2pa\]'"):
        MARK.sign(video, signer())
    assert marks.read_marks(video).manifest is None
