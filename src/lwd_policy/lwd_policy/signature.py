# SPDX-License-Identifier: Apache-2.0
"""Ed25519 keys in files: the learner signs with the private one, robots check with the public one.

A key's name is its file's name: `learner.key` (PEM, PKCS 8, readable by its owner only) and
`learner.pub` (PEM). A robot trusts every `*.pub` in its folder of keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lwd_policy.errors import SignatureError

PRIVATE, PUBLIC = '.key', '.pub'
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]{0,63}')
_OTHERS = 0o077


@dataclass(frozen=True)
class SigningKey:
    """What a learner signs with."""

    name: str
    """Goes along with every signature, so that a robot knows which public key to take."""
    key: Ed25519PrivateKey

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a private key.

        Raises:
            SignatureError: It is missing, open to other users, or no Ed25519 key.
        """
        try:
            if path.stat().st_mode & _OTHERS:
                raise SignatureError(
                    f'{path} can be read by other users; whoever has it can move the robots: '
                    f'`chmod 600 {path}`, and make a new one if anybody else may have seen it')
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise SignatureError(
                f'the key {path} cannot be read ({error.strerror}); make one with `lwd keys new`'
            ) from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SignatureError(
                f'{path} is no private key in PEM without a password ({error}); make one with '
                '`lwd keys new`') from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SignatureError(
                f'{path} is a {type(key).__name__}; policies are signed with Ed25519: make a key '
                'with `lwd keys new`')
        return cls(path.stem, key)

    def sign(self, data: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self.key.sign(data)


class TrustedKeys:
    """The public keys that a robot accepts."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        """Trust keys by their names."""
        self._keys = dict(keys)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the keys."""
        return tuple(sorted(self._keys))

    @classmethod
    def load(cls, place: Path) -> TrustedKeys:
        """Read a public key's file, or every one of a folder.

        Raises:
            SignatureError: There is none, or one is no Ed25519 key.
        """
        paths = sorted(place.glob(f'*{PUBLIC}')) if place.is_dir() else [place]
        if not paths:
            raise SignatureError(
                f'{place} holds no *{PUBLIC}; copy the public key of the learner there, or make '
                'a pair with `lwd keys new`')
        found = {}
        for path in paths:
            try:
                key = serialization.load_pem_public_key(path.read_bytes())
            except OSError as error:
                raise SignatureError(
                    f'the key {path} cannot be read ({error.strerror}); give the file or the '
                    "folder of the learner's public key") from error
            except (ValueError, UnsupportedAlgorithm) as error:
                raise SignatureError(f'{path} is no public key in PEM ({error}); copy it again'
                                     ) from error
            if not isinstance(key, Ed25519PublicKey):
                raise SignatureError(f'{path} is a {type(key).__name__} instead of an Ed25519 key')
            found[path.stem] = key
        return cls(found)

    def check(self, signer: str, signature: bytes, data: bytes) -> None:
        """Refuse data that the named key has not signed.

        Raises:
            SignatureError: No signature, a key that is not trusted, or data that it did not sign.
        """
        if not signature:
            raise SignatureError('it is not signed; give the publisher a key (signing_key)')
        key = self._keys.get(signer)
        if key is None:
            raise SignatureError(
                f'it is signed by {signer!r}, which is not trusted here; trusted are '
                f'{", ".join(self.names) or "none"}')
        try:
            key.verify(signature, data)
        except InvalidSignature as error:
            raise SignatureError(
                f'the signature is not of the trusted key {signer!r}: it was changed on its way, '
                'or signed with another key of that name') from error


def new_keys(folder: Path, name: str = 'learner') -> tuple[Path, Path]:
    """Make a pair of keys; returns the paths of the private and the public one.

    Raises:
        SignatureError: One is there already, the name cannot be a file's, or the disk refuses.
    """
    if not _NAME.fullmatch(name):
        raise SignatureError(f'{name!r} is no name for a key; take letters, digits, - and _')
    key = Ed25519PrivateKey.generate()
    private, public = folder / f'{name}{PRIVATE}', folder / f'{name}{PUBLIC}'
    contents = (
        (private, 0o600, key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())),
        (public, 0o644, key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (private, public):
            if path.exists():
                raise SignatureError(
                    f'{path} is there already; robots may trust it: take another name, or move '
                    'it away')
        for path, mode, content in contents:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), 'wb') as file:
                file.write(content)
    except OSError as error:
        raise SignatureError(f'keys cannot be written to {folder}: {error}') from error
    return private, public
