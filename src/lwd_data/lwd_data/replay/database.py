# SPDX-License-Identifier: Apache-2.0
"""The catalogue's tables, and what is written into them: links of a chain of hashes.

A registration is a segment, or a description: what metadata.yaml says of an episode from then on.
Each carries chain_k = SHA-256(chain_{k-1} | its content), so that a sequence number and the hash
there fix everything before.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lwd_data.errors import CatalogueError

FILE = 'catalogue.sqlite'
VERSION = 1
START = bytes(32)
"""Of the chain, before the first registration."""
_TIMEOUT = 60.0
_SCHEMA = """
CREATE TABLE episodes (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folder TEXT NOT NULL,
    robot TEXT NOT NULL, task TEXT NOT NULL, instruction TEXT NOT NULL, origin TEXT NOT NULL);
CREATE TABLE descriptions (
    sequence INTEGER PRIMARY KEY, episode INTEGER NOT NULL REFERENCES episodes,
    label TEXT NOT NULL, custom TEXT NOT NULL, chain BLOB NOT NULL UNIQUE);
CREATE INDEX descriptions_of ON descriptions (episode, sequence);
CREATE TABLE segments (
    sequence INTEGER PRIMARY KEY, episode INTEGER NOT NULL REFERENCES episodes,
    number INTEGER NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    recovered INTEGER NOT NULL, chain BLOB NOT NULL UNIQUE, UNIQUE (episode, number));
CREATE TABLE pins (name TEXT PRIMARY KEY, snapshot TEXT NOT NULL, time REAL NOT NULL);
CREATE TABLE journal (applied INTEGER NOT NULL);
INSERT INTO journal VALUES (0);
"""


def connect(store: Path, *, write: bool) -> sqlite3.Connection:
    """Open the database of a store; made where it is missing, if it is to be written.

    Raises:
        CatalogueError: It cannot be opened, or is of a newer version.
    """
    path = store / FILE
    mode = 'rwc' if write else 'ro'
    try:
        if write:
            store.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(
            f'{path.as_uri()}?mode={mode}', uri=True, timeout=_TIMEOUT, isolation_level=None)
        if write:
            db.execute('PRAGMA journal_mode = WAL')
            db.execute('PRAGMA synchronous = NORMAL')
            _make(db)
        version = db.execute('PRAGMA user_version').fetchone()[0]
    except (OSError, sqlite3.Error) as error:
        raise CatalogueError(f'cannot open the catalogue {path}: {error}') from error
    if version != VERSION:
        db.close()
        raise CatalogueError(
            f'{path} is of version {version}, this is {VERSION}: update, or delete it and let '
            'this version make it again from the journal')
    return db


def _make(db: sqlite3.Connection) -> None:
    db.execute('BEGIN IMMEDIATE')
    if db.execute('PRAGMA user_version').fetchone()[0] == 0:
        for statement in _SCHEMA.split(';'):
            db.execute(statement)
        db.execute(f'PRAGMA user_version = {VERSION}')
    db.execute('COMMIT')


def head(db: sqlite3.Connection) -> tuple[int, bytes]:
    """Return sequence and chain of the newest registration; (0, START) if there is none."""
    rows = [row for table in ('segments', 'descriptions') if (row := db.execute(
        f'SELECT sequence, chain FROM {table} '  # noqa: S608  (one of two names)
        'ORDER BY sequence DESC LIMIT 1').fetchone()) is not None]
    sequence, chain = max(rows, default=(0, START))
    return int(sequence), bytes(chain)


def find_chain(db: sqlite3.Connection, chain: bytes) -> int | None:
    """Return the sequence number at which the chain has a value; None if at none."""
    if chain == START:
        return 0
    row = db.execute(
        'SELECT sequence FROM segments WHERE chain = ?1 UNION ALL '
        'SELECT sequence FROM descriptions WHERE chain = ?1', (chain,)).fetchone()
    return None if row is None else int(row[0])


def link(chain: bytes, content: list[Any]) -> bytes:
    """Return the chain's value behind one more registration."""
    text = json.dumps(content, separators=(',', ':'))
    return hashlib.sha256(chain + text.encode()).digest()


def registrations(db: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Yield all registrations and pins as lines of a journal, in order."""
    rows = db.execute(
        'SELECT s.sequence, e.name, e.folder, s.chain, NULL, e.robot, e.task, e.instruction, '
        'e.origin, s.number, s.file, s.size, s.sha256, s.recovered '
        'FROM segments s JOIN episodes e ON s.episode = e.number UNION ALL '
        'SELECT d.sequence, e.name, e.folder, d.chain, d.custom, e.robot, e.task, e.instruction, '
        'e.origin, NULL, NULL, NULL, NULL, NULL '
        'FROM descriptions d JOIN episodes e ON d.episode = e.number ORDER BY 1')
    for row in rows:
        sequence, name, folder, chain, custom, robot, task, instruction, origin = row[:9]
        content = segment_content(name, *row[9:]) if custom is None else description_content(
            name, robot, task, instruction, origin, custom)
        yield line(sequence, folder, chain, content)
    for name, snapshot, time in db.execute('SELECT name, snapshot, time FROM pins ORDER BY time'):
        yield {'pin': name, 'snapshot': snapshot, 'time': time}


def line(sequence: int, folder: str, chain: bytes, content: list[Any]) -> dict[str, Any]:
    """Return a registration as a line of the journal; the folder is no part of the content."""
    return {'sequence': sequence, 'folder': folder, 'chain': chain.hex(), 'content': content}


def segment_content(
    episode: str, number: int, file: str, size: int, sha256: str, recovered: int,
) -> list[Any]:
    """Return what a segment's registration says."""
    return ['segment', episode, number, file, size, sha256, recovered]


def description_content(
    episode: str, robot: str, task: str, instruction: str, origin: str, custom: str,
) -> list[Any]:
    """Return what a description says."""
    return ['episode', episode, robot, task, instruction, origin, custom]
