# SPDX-License-Identifier: Apache-2.0
"""An object store at one URL: a folder, or an S3 bucket, through the same few calls."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions
from obstore.store import LocalStore, MemoryStore, S3Store

from lwd_learner_bridge.errors import MissingError, StoreError, TransferError
from lwd_learner_bridge.store.credentials import redacted, s3_config, secrets

PART_BYTES = 5 * 1024 * 1024
"""Of a multipart upload: the least that S3 takes, so that little is sent twice."""
_PARTS_AT_ONCE = 2
_RETRIES = 2
_SCHEMES = ('a path', 'file://', 's3://')


class Objects(Protocol):
    """What uploader and coordinator ask of a store. Each call raises TransferError."""

    def read(self, key: str) -> bytes:
        """Return an object; MissingError if there is none."""

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield an object in pieces; MissingError if there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Put a small object in one piece, in the place of an older one."""

    def upload(self, key: str, pieces: Iterable[bytes]) -> None:
        """Put an object in parts. It appears when all of it is there, or not at all."""

    def size(self, key: str) -> int | None:
        """Return an object's bytes; None if there is none."""

    def names(self, prefix: str) -> list[str]:
        """Return the keys under a folder, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""

    def move(self, key: str, target: str) -> None:
        """Rename an object; MissingError if there is none."""

    def local(self, key: str) -> Path | None:
        """Return the file that an object is; None if it is none of this machine's."""


class ObjectStore:
    """The store of a URL. Threads may share it."""

    def __init__(
        self, url: str, *, timeout: float = 30.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Use a store; a folder is made if it is missing.

        Args:
            url: A path, file:///path, or s3://bucket/prefix (keys: see `credentials`).
            timeout: How long a request may take, s.
            environment: os.environ by default.

        Raises:
            StoreError: The URL is of no known kind, holds keys, or the folder cannot be made.
        """
        self.url = url
        self.folder: Path | None = None
        self._hidden: tuple[str, ...] = ()
        parts = urlsplit(url)
        if '@' in parts.netloc or parts.query:
            raise StoreError(
                'the URL of the store holds a user name, key or query, which would show up in '
                'parameters and logs; put keys into the environment or ~/.aws/credentials')
        # Errors name what failed: retries are the callers' business, beyond a hiccup.
        retry: Any = {'max_retries': _RETRIES, 'retry_timeout': timedelta(seconds=timeout)}
        if parts.scheme in ('', 'file'):
            self.folder = Path(unquote(parts.path) if parts.scheme else url).expanduser().resolve()
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f'cannot make the store {self.folder}: {error.strerror}') from error
            self._store: Any = LocalStore(self.folder, automatic_cleanup=True)
        elif parts.scheme == 's3':
            config: Any = s3_config(os.environ if environment is None else environment)
            self._hidden = secrets(config)
            self._store = S3Store(
                parts.netloc, prefix=parts.path.strip('/') or None, config=config,
                client_options={
                    'timeout': timedelta(seconds=timeout),
                    'connect_timeout': timedelta(seconds=min(timeout, 5.0)),
                    'allow_http': config.get('endpoint', '').startswith('http://')},
                retry_config=retry)
        elif parts.scheme == 'memory':
            self._store = MemoryStore()
        else:
            raise StoreError(f'{url!r} is no store; a URL is one of {", ".join(_SCHEMES)}')

    def read(self, key: str) -> bytes:
        """Return an object; MissingError if there is none."""
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure('read', key, error) from error

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield an object in pieces; MissingError if there is none."""
        try:
            for piece in obstore.get(self._store, key).stream(min_chunk_size=PART_BYTES):
                yield bytes(piece)
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure('read', key, error) from error

    def write(self, key: str, data: bytes) -> None:
        """Put a small object in one piece, in the place of an older one."""
        try:
            obstore.put(self._store, key, data, use_multipart=False)
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure('write', key, error) from error

    def upload(self, key: str, pieces: Iterable[bytes]) -> None:
        """Put an object in parts. It appears when all of it is there, or not at all.

        What `pieces` raises ends the upload and comes through.
        """
        try:
            obstore.put(
                self._store, key, iter(pieces), use_multipart=True, chunk_size=PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE)
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure('upload', key, error) from error

    def size(self, key: str) -> int | None:
        """Return an object's bytes; None if there is none."""
        try:
            return int(obstore.head(self._store, key)['size'])
        except FileNotFoundError:
            return None
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure('look at', key, error) from error

    def names(self, prefix: str) -> list[str]:
        """Return the keys under a folder, sorted."""
        try:
            return sorted(
                one['path'] for some in obstore.list(self._store, prefix) for one in some)
        except FileNotFoundError:
            # A folder may vanish while it is listed: what it held is gone.
            return []
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure('list', prefix, error) from error

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure('delete', key, error) from error

    def move(self, key: str, target: str) -> None:
        """Rename an object; MissingError if there is none."""
        try:
            obstore.rename(self._store, key, target)
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure('move', key, error) from error

    def local(self, key: str) -> Path | None:
        """Return the file that an object is; None if it is none of this machine's."""
        return None if self.folder is None else self.folder / key

    def _failure(self, what: str, key: str, error: Exception) -> TransferError:
        # The rest of the text is Rust's debug output.
        first = redacted(str(error).strip().partition('\n')[0], self._hidden)
        kind = MissingError if isinstance(error, FileNotFoundError) else TransferError
        return kind(f'cannot {what} {key} in {self.url}: {first}')
