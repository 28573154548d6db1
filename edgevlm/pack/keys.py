"""A site's keys: Ed25519, in the PEM files that OpenSSL writes and reads. Knows no packs."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edgevlm.errors import CommandError


def make_pair(secret: Path, public: Path) -> None:
    """Two new files, the secret one for its owner alone. Raises `CommandError` if one exists."""
    for path in (secret, public):
        if os.path.lexists(path):
            raise CommandError(f"{path} already exists; remove it or choose another name.")
    key = Ed25519PrivateKey.generate()
    _write(secret, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _write(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)


def secret_key(path: Path) -> Ed25519PrivateKey:
    """The one in a file, to sign with. Raises `CommandError` if it holds none."""
    try:
        key = load_pem_private_key(_read(path), None)
    except (ValueError, TypeError):
        raise CommandError(f"{path} is not a secret key without a password in PEM.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CommandError(f"{path} is a key of another kind; Ed25519 is needed.")
    return key


def is_signed(path: Path, message: bytes, signature: bytes) -> bool:
    """By the owner of the public key in a file. Raises `CommandError` if it holds none."""
    try:
        key = load_pem_public_key(_read(path))
    except ValueError:
        raise CommandError(f"{path} is not a public key in PEM.") from None
    if not isinstance(key, Ed25519PublicKey):
        raise CommandError(f"{path} is a key of another kind; Ed25519 is needed.")
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
    with open(descriptor, "wb") as file:
        file.write(content)
