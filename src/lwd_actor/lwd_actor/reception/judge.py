# SPDX-License-Identifier: Apache-2.0
"""A received payload becomes a policy that passed a judge, or is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from lwd_actor.reception.assembly import Assembly
from lwd_policy.payload import Unpacked, unpack


class Judge(Protocol):
    """What a policy must pass before it may run; see Trial."""

    def __call__(self, unpacked: Unpacked, running: Path | None) -> None:
        """Raise a PolicyError for a policy that should not run."""

    def moved(self, folder: Path) -> None:
        """Hear where the policy that passed last lies now."""


@contextmanager
def judged(
    assembly: Assembly, judge: Judge, *, base: Path | None, running: Path | None,
) -> Iterator[Path]:
    """Yield the folder of a payload's policy once it has passed; it is removed unless moved away.

    Args:
        assembly: A complete payload.
        judge: What the policy must pass.
        base: Folder of the policy that the payload is a delta to; None for full weights.
        running: Folder of the policy that runs now; None if there is none.

    Raises:
        PolicyError: It is damaged, does not fit its base, or should not run.
    """
    assembly.close()
    folder = assembly.folder.with_name(f'{assembly.folder.name}.policy.part')
    folder.mkdir()
    try:
        judge(unpack(assembly.file, assembly.manifest, folder, base=base), running)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
