# SPDX-License-Identifier: Apache-2.0
"""Writes what a comparison has come to so far: results.json, table.md, table.png."""

from __future__ import annotations

from typing import Any

from lwd_rollout.table.figure import draw
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.report import markdown
from lwd_rollout.table.results import gather

RESULTS, TABLE, FIGURE = 'results.json', 'table.md', 'table.png'


def write(layout: Layout) -> dict[str, Any]:
    """Write the results that are there; returns them.

    Raises:
        TableError: They are of another protocol or of different data, or there are none.
    """
    found = gather(layout)
    layout.write(layout.folder / RESULTS, found)
    (layout.folder / TABLE).write_text(markdown(found), encoding='utf-8')
    draw(found, layout.folder / FIGURE)
    return found
