# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: there whole or not at all, and enough to go on to the same numbers."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from lwd_learner.errors import LearnerError

VERSION = 1
FILE = 'checkpoint.pt'


class CheckpointError(LearnerError):
    """A checkpoint cannot be read."""


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint in the place of the last one."""
    path = folder / FILE
    temporary = path.with_name(FILE + '.part')
    with temporary.open('wb') as file:
        torch.save({'version': VERSION, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(folder: Path, device: torch.device | str = 'cpu') -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        CheckpointError: It is missing, damaged, or of another version.
    """
    path = folder / FILE
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f'{folder} has no {FILE}: nothing to resume there') from error
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError,
            pickle.UnpicklingError) as error:
        # What is no checkpoint makes the reader fail in whichever way its bytes happen to lead to.
        raise CheckpointError(f'{path} is damaged: {error}') from error
    if content.get('version') != VERSION:
        raise CheckpointError(
            f'{path} is of version {content.get("version")}, this is {VERSION}; resume it '
            'with the version that wrote it')
    return content
