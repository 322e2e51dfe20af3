"""
A certificate authority of a test's own, with one certificate for 127.0.0.1 and for a name that only a proxy knows.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "vendor.example"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM: the authority's certificate, the server's and its key."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def redis_arguments(self) -> tuple[str, ...]:
        """What makes a Redis use them, without asking its clients for any."""
        files = {"ca-cert": self.authority, "cert": self.certificate, "key": self.key}
        return (*(word for name, path in files.items() for word in (f"--tls-{name}-file", str(path))), *_NO_CLIENTS)


_NO_CLIENTS = ("--tls-auth-clients", "no")
_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def make_certificates(folder: Path) -> Certificates:
    """Draw both keys, and sign; good for an hour, and all that Python 3.13 demands of them (RFC 5280) is there."""
    folder.mkdir(exist_ok=True)
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's server")])
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName(NAME)])
    is_authority = x509.BasicConstraints(ca=True, path_length=0)
    signs = x509.KeyUsage(**dict.fromkeys(_USES, False) | {"key_cert_sign": True})
    names_itself = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    names_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    for subject, public, extensions, path in (
        (authority, authority_key.public_key(), {is_authority: True, signs: True, names_itself: False}, made.authority),
        (name, key.public_key(), {host: True, names_authority: False}, made.certificate),
    ):
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(authority, subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        for extension, is_critical in extensions.items():
            builder = builder.add_extension(extension, critical=is_critical)
        signed = builder.sign(authority_key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made
