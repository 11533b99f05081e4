# SPDX-License-Identifier: Apache-2.0
"""The rows of one episode in a parquet file that holds many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_description.errors import alternatives
from lwd_data.errors import ExchangeError

_EPISODE = 'episode_index'


class Table:
    """Columns of one episode."""

    def __init__(self, table: Any, where: str) -> None:
        """Take a table of pyarrow."""
        self._table, self._where = table, where

    def __len__(self) -> int:
        """Return how many rows it has."""
        return int(self._table.num_rows)

    @property
    def column_names(self) -> list[str]:
        """Names of its columns."""
        return list(self._table.column_names)

    def column(self, name: str) -> Any:
        """Return a column as pyarrow has it."""
        return self._table.column(name)

    def array(self, name: str) -> NDArray[Any]:
        """Return a column as an array, (rows,) or (rows, n).

        Raises:
            ExchangeError: Rows are empty or of several lengths.
        """
        import pyarrow as pa
        column, shape = self._table.column(name).combine_chunks(), [len(self._table)]
        while isinstance(column, pa.ExtensionArray) or pa.types.is_nested(column.type):
            if isinstance(column, pa.ExtensionArray):
                column = column.storage
                continue
            if column.null_count or pa.types.is_struct(column.type):
                raise ExchangeError(f'{self._where}: {name} has rows without a value')
            count, flat = len(column), column.flatten()
            size = len(flat) // max(1, count)
            lengths = set(column.value_lengths().to_pylist()) if hasattr(
                column, 'value_lengths') else {size}
            if len(lengths) > 1:
                raise ExchangeError(
                    f'{self._where}: {name} has rows of {min(lengths)} and of {max(lengths)} '
                    'numbers')
            shape.append(size)
            column = flat
        if column.null_count:
            raise ExchangeError(f'{self._where}: {name} has rows without a value')
        return np.asarray(column.to_numpy(zero_copy_only=False)).reshape(shape)


def read_rows(path: Path, episode: int, columns: Sequence[str]) -> Table:
    """Return columns of the rows of an episode.

    Raises:
        ExchangeError: The file is missing, damaged, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    try:
        known = pq.read_schema(path).names
        for name in (*columns, _EPISODE):
            if name not in known:
                raise ExchangeError(
                    f'{path} has no column {name!r}{alternatives(name, known)}. Change the '
                    'mapping')
        # The file itself, not a data set that pyarrow would make of folders named key=value.
        with pq.ParquetFile(path) as file:
            groups = [number for number in range(file.num_row_groups)
                      if _may_hold(file, number, episode)]
            table = file.read_row_groups(groups, columns=[*columns, _EPISODE])
        table = table.filter(pc.equal(table.column(_EPISODE), episode))
    except FileNotFoundError as error:
        raise ExchangeError(f'there is no {path}; the data set is not whole') from error
    except (pa.ArrowException, OSError) as error:
        raise ExchangeError(f'{path} is damaged: {error}; leave its episodes out') from error
    return Table(table.select(list(columns)), f'{path} (episode {episode})')


def _may_hold(file: Any, group: int, episode: int) -> bool:
    """Say by its statistics whether a row group may have rows of an episode."""
    part = file.metadata.row_group(group)
    for number in range(part.num_columns):
        if part.column(number).path_in_schema == _EPISODE:
            found = part.column(number).statistics
            return found is None or not found.has_min_max or found.min <= episode <= found.max
    return True
