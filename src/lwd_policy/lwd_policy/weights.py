# SPDX-License-Identifier: Apache-2.0
"""A policy on disk: a folder with weights.safetensors and card.json, whole or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lwd_policy.card import PolicyCard, dumps, loads
from lwd_policy.errors import WeightsError
from lwd_policy.weights_file import (
    check_finite,
    chunks,
    describe,
    from_bytes,
    plain,
    read,
    version_of,
    view,
)

WEIGHTS_FILE = 'weights.safetensors'
CARD_FILE = 'card.json'


def version(source: Path | bytes | memoryview) -> str:
    """Return the version of a weights file: of its bytes, its path, or its folder's path.

    Raises:
        WeightsError: The file cannot be read.
    """
    if not isinstance(source, Path):
        return hashlib.sha256(source).hexdigest()
    path = source / WEIGHTS_FILE if source.is_dir() else source
    try:
        with path.open('rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as error:
        raise WeightsError(
            f'{path} cannot be read ({error.strerror}); give a weights file or the folder of a '
            'policy') from error


def save(folder: Path, tensors: Mapping[str, torch.Tensor], card: PolicyCard) -> PolicyCard:
    """Write a policy, whole or not at all; returns its card with version and tensors filled in.

    A folder that already holds this version gets the new card; one that holds anything else is
    left alone.

    Raises:
        WeightsError: The folder holds something else or cannot be written, the card is of another
            version, or a tensor is of an unsupported type or not finite.
        CardError: The card has a value that it cannot have.
    """
    check_finite(tensors, where=str(folder))
    architecture = plain(card.architecture)
    saved = version_of(tensors, architecture)
    if card.version not in ('', saved):
        raise WeightsError(
            f'{folder}: the card is of version {card.version}, the weights are {saved}; for newly '
            'trained weights take card.child()')
    card = replace(
        card, version=saved, architecture=architecture, tensors=describe(tensors))
    text = dumps(card).encode()
    try:
        if (folder / WEIGHTS_FILE).exists():
            _renew_card(folder, saved, text)
        else:
            _make(folder, chunks(tensors, architecture), text)
    except OSError as error:
        raise WeightsError(
            f'{folder} cannot be written ({error}); save to a new folder on a disk with room'
        ) from error
    return card


def _renew_card(folder: Path, saved: str, text: bytes) -> None:
    existing = version(folder)
    if existing != saved:
        raise WeightsError(
            f'{folder} holds version {existing}, not {saved}; save to another folder, or remove '
            'it first')
    part = folder / f'.{CARD_FILE}.{uuid.uuid4().hex}.part'
    try:
        _write(part, [text])
        part.replace(folder / CARD_FILE)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(folder)


def _make(folder: Path, weights: Iterable[bytes | memoryview], text: bytes) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f'.{folder.name}.{uuid.uuid4().hex}.part')
    try:
        part.mkdir()
        _write(part / WEIGHTS_FILE, weights)
        _write(part / CARD_FILE, [text])
        _sync_folder(part)
        # Fails if another process made the folder meanwhile, or it holds something else.
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _sync_folder(folder.parent)


def _write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    with path.open('wb') as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(folder: Path, *, known: str = '') -> tuple[dict[str, torch.Tensor], PolicyCard]:
    """Read a policy; returns (tensors on the CPU, card).

    The file is read once: what was checked is what is returned, without a copy.

    Args:
        folder: Of the policy.
        known: Version that this process has just written, and found the weights to be, and finite;
            the tensors are then views of the file. Empty to find that out here.

    Raises:
        WeightsError: A file is missing or damaged, or the card does not describe the weights; it
            names the file and the field.
        CardError: The card cannot be read.
    """
    content: dict[str, memoryview] = {}
    for name in (CARD_FILE, WEIGHTS_FILE):
        try:
            content[name] = view(folder / name) if known else read(folder / name)
        except (OSError, ValueError) as error:  # ValueError: nothing in it that could be viewed
            raise WeightsError(
                f'{folder} is no policy: {name} cannot be read '
                f'({getattr(error, "strerror", error)}); a policy is a '
                f'folder with {WEIGHTS_FILE} and {CARD_FILE}') from error
    path = folder / CARD_FILE
    card = loads(str(content[CARD_FILE], 'utf-8', 'replace'), where=str(path))
    data = content[WEIGHTS_FILE]
    tensors, architecture = from_bytes(data, where=str(folder / WEIGHTS_FILE))
    _compare(path, 'tensors', card.tensors, describe(tensors))
    _compare(path, 'architecture', card.architecture, architecture)
    found = known or version(data)
    if card.version != found:
        raise WeightsError(
            f'{path}: version is {card.version!r}, but {WEIGHTS_FILE} is {found}; one of them was '
            'changed or is damaged: copy the policy again')
    if not known:
        check_finite(tensors, where=str(folder / WEIGHTS_FILE))
    return tensors, card


def _compare(
    path: Path, field: str, said: Mapping[str, Any], found: Mapping[str, Any],
) -> None:
    for name in sorted(said.keys() | found.keys()):
        if said.get(name) != found.get(name):
            raise WeightsError(
                f'{path}: {field} says {name} is {said.get(name, "absent")}, but {WEIGHTS_FILE} '
                f'has {found.get(name, "it not")}; they do not belong together: copy the policy '
                'again')
