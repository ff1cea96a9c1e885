"""Certificates that can sign videos, made on the spot."""

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from s2f_jax.provenance.c2pa import Signer

NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = ec.generate_private_key(ec.SECP256R1())


def certificate(name, key, usage, last_day, authority=False):
    """Of AUTHORITY, for a name and its key."""

    def named(text):
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests")
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = x509.CertificateBuilder(
        named("authority"), named(name), key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(NOW - datetime.timedelta(days=30))
    builder = builder.not_valid_after(NOW + datetime.timedelta(days=last_day))
    signs = [not authority, *[False] * 4, authority, authority, False, False]
    for extension, critical in (
        (x509.BasicConstraints(authority, None), True),
        (x509.KeyUsage(*signs), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(AUTHORITY.public_key()), False),
        *([(x509.ExtendedKeyUsage([usage]), False)] if usage else []),
    ):
        builder = builder.add_extension(extension, critical)
    signed = builder.sign(AUTHORITY, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def pem(key, password=b""):
    lock = serialization.BestAvailableEncryption(password) if password else None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        lock or serialization.NoEncryption(),
    )


def signer(
    folder: pathlib.Path,
    key=None,
    usage=ExtendedKeyUsageOID.EMAIL_PROTECTION,
    last_day=30,
    secret=None,
) -> Signer:
    """In the folder: a chain for a key, for so many days from now; secret: what the key's file has
    instead."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    chain = certificate("signer", key, usage, last_day)
    chain += certificate("authority", AUTHORITY, None, 30, authority=True)
    made = Signer(folder / "chain.pem", folder / "key.pem")
    made.certificate.write_bytes(chain)
    made.key.write_bytes(secret or pem(key))
    return made
