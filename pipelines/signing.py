"""The certificate and key that generated videos are signed with: the user's own, or a self-made chain.

A self-made chain shows that a video has not been changed since it was signed. It does not show who signed: nobody
vouches for it, so that verifiers call such signatures valid, not trusted.
"""

from __future__ import annotations

import datetime
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import RecipeError, ResourceError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, Name

CERTIFICATE_VARIABLE, KEY_VARIABLE = "MOTIONLOOM_SIGNING_CERT", "MOTIONLOOM_SIGNING_KEY"
CONFIG_VARIABLE = "MOTIONLOOM_CONFIG"
FOLDER, CHAIN_FILE, KEY_FILE, ROOT_FILE = "signing", "chain.pem", "key.pem", "root.pem"
_VALID_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM texts: certificates, the signer's own first, and its key. algorithm: as C2PA names it."""

    chain_pem: str
    key_pem: str
    algorithm: str
    self_made: bool


def config_folder() -> Path:
    """$MOTIONLOOM_CONFIG, else motionloom below $XDG_CONFIG_HOME or ~/.config."""
    given = os.environ.get(CONFIG_VARIABLE)
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "motionloom"


def load_credentials() -> Credentials:
    """Those that the environment names, else the self-made ones, which are made on first use.

    Raises: RecipeError when only one of the two variables is set or a file cannot be used; ResourceError when the
    configuration folder cannot be written.
    """
    certificate, key = os.environ.get(CERTIFICATE_VARIABLE), os.environ.get(KEY_VARIABLE)
    if not certificate and not key:
        folder = config_folder() / FOLDER
        if not (folder / CHAIN_FILE).is_file():
            make_chain(folder)
        return _read(folder / CHAIN_FILE, folder / KEY_FILE, self_made=True)
    if not certificate or not key:
        missing = KEY_VARIABLE if certificate else CERTIFICATE_VARIABLE
        raise RecipeError(f"{missing} is not set: a certificate chain and its key are given together, or neither")
    return _read(Path(certificate).expanduser(), Path(key).expanduser(), self_made=False)


def make_chain(folder: Path) -> None:
    """A root and a signer's certificate (ECDSA P-256), valid for ten years, in files that only the user can read.

    The folder appears whole or not at all; where another process was first, its chain stays.
    Raises: ResourceError when the folder cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
            root_key, signer_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
            root_name, signer_name = _name("motionloom self-made root"), _name("motionloom on this machine")
            root = _certificate(root_name, root_name, root_key, root_key, authority=True)
            signer = _certificate(signer_name, root_name, signer_key, root_key, authority=False)
            # The root's key is thrown away: nothing else shall ever be signed with it.
            part = Path(made) / folder.name
            part.mkdir(mode=0o700)
            _write_private(part / KEY_FILE, _key_pem(signer_key))
            _write_private(part / ROOT_FILE, _pem(root))
            _write_private(part / CHAIN_FILE, _pem(signer) + _pem(root))
            try:
                part.rename(folder)
            except OSError:
                if not (folder / CHAIN_FILE).is_file():
                    raise
    except OSError as error:
        raise ResourceError(
            f"the signing key cannot be kept in {folder} ({error.strerror}): set {CONFIG_VARIABLE} to a folder that "
            f"can be written, or {CERTIFICATE_VARIABLE} and {KEY_VARIABLE} to files of your own"
        ) from error


def _read(chain: Path, key: Path, self_made: bool) -> Credentials:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    again = f"; remove {chain.parent}, and a new chain is made" if self_made else ""
    try:
        chain_pem, key_pem = chain.read_text(encoding="ascii"), key.read_text(encoding="ascii")
        certificates = load_pem_x509_certificates(chain_pem.encode())
        private = load_pem_private_key(key_pem.encode(), password=None)
        fits = certificates[0].public_key() == private.public_key()
    except OSError as error:
        raise RecipeError(f"signing with {error.filename}: {error.strerror}{again}") from error
    # TypeError: the key is encrypted
    except (ValueError, TypeError) as error:
        raise RecipeError(
            f"signing with {chain} and {key}: no PEM chain with an open PEM key ({error}){again}"
        ) from error
    if not fits:
        raise RecipeError(f"signing with {chain} and {key}: the key is not that of the first certificate{again}")
    if certificates[0].not_valid_after_utc < datetime.datetime.now(datetime.timezone.utc):
        raise RecipeError(
            f"signing with {chain}: the certificate expired on {certificates[0].not_valid_after_utc:%F}{again}"
        )
    return Credentials(chain_pem, key_pem, _algorithm(private, chain), self_made)


def _algorithm(private: object, chain: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey):
        return "ps256"
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in curves:
        return curves[private.curve.name]
    raise RecipeError(f"signing with {chain}: C2PA signs with ECDSA (P-256, P-384, P-521), Ed25519 or RSA keys")


def _name(common: str) -> Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "motionloom"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _certificate(
    subject: Name,
    issuer: Name,
    key: EllipticCurvePrivateKey,
    issuer_key: EllipticCurvePrivateKey,
    authority: bool,
) -> Certificate:
    """Extensions as the C2PA specification 2.1, section 14.5, asks: a signer is no authority and states its use."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.datetime.now(datetime.timezone.utc)
    unused = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    usage = x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **unused)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ a little between machines.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_private(path: Path, data: bytes) -> None:
    """The mode is set before there is anything to read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
