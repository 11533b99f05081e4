# SPDX-License-Identifier: Apache-2.0
"""The folder of a comparison; it belongs to one protocol, and so does every result in it.

run/
protocol.json              all settings and methods, and their hash
extension.json             training seeds that were added later, if any were
pool/, replay/             offline data and their catalogue
cells/METHOD-SEED/         one trained policy: checkpoint.pt, metrics.jsonl, policy/,
trained.json           critic/; online rounds/ and replay/; written last: trained.json
scores/, branches.json what came of its tests; of the reference: branched/, its states
seconds.json               what work took, for the estimate of the time left
results.json, table.md, table.png
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lwd_learner.errors import LearnerError
from lwd_rollout.errors import TableError
from lwd_rollout.pool import write_json
from lwd_rollout.table.extension import Extension
from lwd_rollout.table.methods import REFERENCE, chosen
from lwd_rollout.table.protocol import TableProtocol
from lwd_ros.errors import ParameterError
from lwd_ros.parameters import build, flatten

VERSION = 2
"""Of what cells do with a protocol; another one makes results incomparable."""
PROTOCOL, EXTENSION, TRAINED = 'protocol.json', 'extension.json', 'trained.json'


def content_of(protocol: TableProtocol) -> dict[str, Any]:
    """Return all that makes a comparison what it is, as plain data."""
    methods = {method.name: asdict(method) for method in chosen(protocol.methods)}
    # The way through JSON makes tuples lists, as they are when they are read back.
    return json.loads(json.dumps(
        {'version': VERSION, 'protocol': asdict(protocol), 'methods': methods}))


def digest(protocol: TableProtocol) -> str:
    """Return the SHA-256 of a protocol with its methods."""
    text = json.dumps(content_of(protocol), sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Layout:
    """Where things are, and whether they are of this protocol."""

    folder: Path
    protocol: TableProtocol
    pool_elsewhere: Path | None = None
    """A pool that is there already, instead of one made here."""

    @property
    def pool(self) -> Path:
        """The offline episodes."""
        return self.pool_elsewhere or self.folder / 'pool'

    @property
    def _pool_text(self) -> str:
        return '' if self.pool_elsewhere is None else str(self.pool_elsewhere)

    @property
    def replay(self) -> Path:
        """The store with the offline episodes only."""
        return self.folder / 'replay'

    @property
    def sha256(self) -> str:
        """Of the protocol."""
        return digest(self.protocol)

    @property
    def added(self) -> Extension:
        """The training seeds that were added.

        Raises:
            TableError: Their file is damaged, or of another protocol.
        """
        found = self.read(self.folder / EXTENSION)
        return Extension() if found is None else Extension(
            int(found['seeds']), tuple(found['methods']))

    @property
    def seeds(self) -> int:
        """Training seeds, with those that were added."""
        return self.added.seeds_of(self.protocol)

    def extend(self, wanted: Extension) -> None:
        """Add training seeds; after `freeze`.

        Raises:
            TableError: They add nothing, or take away what was added before.
        """
        known = self.added
        wanted.check(self.protocol, known)
        if wanted != known:
            self.write(self.folder / EXTENSION, asdict(wanted))

    def cell(self, method: str, seed: int) -> Path:
        """Return the folder of a trained policy."""
        return self.folder / 'cells' / f'{method}-{seed}'

    def scores(self, method: str, seed: int, task: str, noise: float, best_of: int) -> Path:
        """Return the file of the outcomes of a cell's test episodes."""
        name = f'{task}-noise{noise:g}-best{best_of}.json'
        return self.cell(method, seed) / 'scores' / name

    def branched(self, seed: int) -> Path:
        """Return the folder of the reference's states, whose chunks critics are asked about."""
        return self.cell(REFERENCE, seed) / 'branched'

    def branches(self, method: str, seed: int) -> Path:
        """Return the file of what a cell's critic said of chunks, and what came of them.

        The reference's, which has no critic, says that all states are there.
        """
        return self.cell(method, seed) / 'branches.json'

    def write(self, file: Path, content: Mapping[str, Any]) -> None:
        """Write a result, whole or not at all, with the protocol's hash."""
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {'protocol': self.sha256, **content})

    def read(self, file: Path) -> dict[str, Any] | None:
        """Return a result; None if it is not there.

        Raises:
            TableError: It is damaged, or of another protocol.
        """
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None
        except json.JSONDecodeError as error:
            raise TableError(f'{file} is damaged ({error}); remove it, and it is made '
                             'again') from error
        if content.get('protocol') != self.sha256:
            raise TableError(
                f'{file} is of protocol {str(content.get("protocol"))[:12]}, this is '
                f'{self.sha256[:12]}: results of different protocols cannot stand in one table; '
                'remove it, or use a folder of its own')
        return content

    def freeze(self) -> None:
        """Fix the protocol in the folder, before anything is trained or tested.

        Raises:
            TableError: The folder holds results of another protocol, or something else.
        """
        file, content = self.folder / PROTOCOL, content_of(self.protocol)
        if not file.is_file():
            if (self.folder / 'cells').exists():
                raise TableError(f'{self.folder} holds cells, but no {PROTOCOL}; choose another '
                                 'folder')
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(file, {'sha256': self.sha256, 'pool': self._pool_text, **content})
            return
        try:
            known = json.loads(file.read_text(encoding='utf-8'))
        except json.JSONDecodeError as error:
            raise TableError(f'{file} is damaged ({error}); choose another folder') from error
        pool = known.pop('pool', '')
        if pool != self._pool_text:
            raise TableError(
                f'{self.folder} was begun with the pool {pool or "in it"}, not '
                f'{self._pool_text or "with one in it"}; go on with that one'
                + (f' (--pool {pool})' if pool else ''))
        if known.pop('sha256', None) != self.sha256 or known != content:
            raise TableError(
                f'{self.folder} was begun with another protocol ({_apart(known, content)}); go on '
                'with that one, or choose another folder')

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working in the folder.

        Raises:
            TableError: One does so now.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / '.lock', os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise TableError(f'another process works in {self.folder}; wait for it, or choose '
                             'another folder') from error
        try:
            yield
        finally:
            os.close(handle)


def opened(folder: Path) -> Layout:
    """Return the layout of a comparison that was begun.

    Raises:
        TableError: There is none, or it is of another version.
    """
    file = folder / PROTOCOL
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        protocol = build(TableProtocol, dict(flatten(content['protocol'])), where=str(file))
    except FileNotFoundError as error:
        raise TableError(f'{folder} holds no comparison: there is no {PROTOCOL}') from error
    except (json.JSONDecodeError, KeyError, ParameterError, LearnerError) as error:
        raise TableError(f'{file} cannot be read by this version: {error}') from error
    pool = content.get('pool', '')
    found = Layout(folder, protocol, Path(pool) if pool else None)
    found.freeze()
    return found


def _apart(known: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return which settings differ, the first few of them."""
    before, after = dict(flatten(known)), dict(flatten(new))
    missing = object()
    names = [name for name in sorted({*before, *after})
             if before.get(name, missing) != after.get(name, missing)]
    shown = [f'{name} {before.get(name, "-")!r}, not {after.get(name, "-")!r}'
             for name in names[:4]]
    return '; '.join(shown) + (f'; and {len(names) - 4} more' if len(names) > 4 else '')
