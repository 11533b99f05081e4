# SPDX-License-Identifier: Apache-2.0
"""Finds the shipped mapping that fits a LeRobot data set."""

from __future__ import annotations

from pathlib import Path

from lwd_data.errors import ExchangeError
from lwd_data.exchange import fields as joints
from lwd_data.exchange import lerobot_meta as meta
from lwd_data.exchange import mapping_file
from lwd_data.exchange.mapping import DataMapping

FORMAT = 'lerobot'


def choose(folder: Path) -> DataMapping:
    """Return the shipped mapping that fits a data set.

    Raises:
        ExchangeError: None does; the message says what each of them lacks.
    """
    info = meta.read_info(folder)
    lacks = {}
    for name, path in mapping_file.shipped().items():
        mapping = mapping_file.load(path)
        if mapping.format == FORMAT:
            lacks[name] = _lacking(mapping, info)
            if not lacks[name]:
                return mapping
    tried = '; '.join(f'{name} lacks {", ".join(missing)}' for name, missing in lacks.items())
    raise ExchangeError(
        f'no shipped mapping fits {info.path}: {tried}. It has {", ".join(info.features)}. Write '
        'one (`lwd import mapping` shows one to begin with) and give it with --mapping')


def _lacking(mapping: DataMapping, info: meta.Info) -> list[str]:
    wanted = [*joints.required(mapping), *(
        () if mapping.optional_cameras else mapping.cameras.values())]
    lacking = [name for name in wanted if name not in info.features]
    for part in (*mapping.state.values(), *mapping.command.values()):
        known = info.features.get(part.field)
        lacking += [f'{part.field}[{column}]' for column in part.columns
                    if known and isinstance(column, str) and column not in known.names]
    return list(dict.fromkeys(lacking))
