"""Certificates for roles: an authority of one's own, and for each process a certificate that names its roles.

For a desk, a test, or a team that has no authority yet; any other that writes `klorpy:role:NAME` among the subject
alternative names does as well. Needs the package `cryptography` (the extra `tls`).
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from klorpy.core.diagnostics import KlorError
from klorpy.runtime.transports.tls import role_uri

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    raise KlorError(
        "the package cryptography is not installed", slug="bad-argument", help="install klorpy with its extra tls"
    ) from None


def make_certificates(folder: str | os.PathLike[str], roles: Sequence[str], days: int) -> Iterator[Path]:
    """Write `ca.pem` and `ca.key` when they are missing, and for each of `roles` (`A`, or `A+B`) `A.pem` and `A.key`.

    Gives the certificates that were written. Keys can be read by their owner only.
    """
    for name in (name for entry in roles for name in entry.split("+")):
        if not name or {"/", "\\", "\0"}.intersection(name) or name in (".", "..", "ca"):
            raise KlorError(
                f"{name!r} is no role that a certificate can be made for", slug="bad-argument",
                help="its name is that of a file: it has no / and no \\, and is not ca",
            )  # fmt: skip
    if days < 1:
        raise KlorError(f"a certificate is valid for a positive number of days, not {days}", slug="bad-argument")
    home = Path(folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KlorError(f"cannot make the folder {home}: {error.strerror or error}", slug="bad-argument") from None
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    end = start + datetime.timedelta(days=days)
    if not (home / "ca.pem").exists():
        yield _make_authority(home, start, end)
    authority = x509.load_pem_x509_certificate((home / "ca.pem").read_bytes())
    signer = serialization.load_pem_private_key((home / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    for entry in roles:
        names = sorted(entry.split("+"))
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder("+".join(names), authority.subject, start, end, key.public_key())
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(role_uri(name)) for name in names]), critical=False
            )
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        yield _write(home / "+".join(names), builder.sign(signer, hashes.SHA256()), key)


def _make_authority(home: Path, start: datetime.datetime, end: datetime.datetime) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "klorpy authority")])
    builder = (
        _builder("klorpy authority", name, start, end, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
    )  # fmt: skip
    return _write(home / "ca", builder.sign(key, hashes.SHA256()), key)


def _builder(
    subject: str, issuer: x509.Name, start: datetime.datetime, end: datetime.datetime, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _write(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Path:
    pem = serialization.Encoding.PEM
    path.with_name(path.name + ".pem").write_bytes(certificate.public_bytes(pem))
    secret = path.with_name(path.name + ".key")
    secret.touch(mode=0o600)
    secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path.with_name(path.name + ".pem")
