# SPDX-License-Identifier: Apache-2.0
"""Draws a run as one page that needs nothing beside it: `report.html` in its folder."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

from lwd_bringup.errors import BringupError
from lwd_bringup.loop import folder as run_folder
from lwd_bringup.loop import report_origin as origin
from lwd_bringup.loop import report_parts as parts
from lwd_bringup.loop.folder import REPORT, Run

_TEMPLATE = Path(__file__).with_name('report.html')
_TITLE, _BODY = '%TITLE%', '%BODY%'
_SECTIONS = (
    ('What is missing', parts.missing, 'missing'),
    ('Success while the fleet learns', parts.success, ''),
    ('First and last policy on the same held-out scenes', parts.comparison, ''),
    ('Before and after', parts.films, ''),
    ('Robots', parts.robots, ''),
    ('Interventions and refused policies', parts.interventions, ''),
    ('From robot to learner and back', parts.latencies, ''),
    ('Learner', origin.learner, ''),
    ('What was learnt from', origin.mixture, ''),
    ('Lineage', origin.lineage, ''),
    ('Configuration', origin.configuration, ''),
    ('Versions', origin.versions, ''))


def write(folder: Path, file: Path | None = None) -> Path:
    """Draw the report of a run, finished or not; returns where it is.

    Args:
        folder: Of the run.
        file: The page; replaced if it is there. None: report.html in the folder.

    Raises:
        BringupError: There is no run in the folder, or the page cannot be written.
    """
    place = file or folder / REPORT
    page = draw(run_folder.read(folder))
    part = place.with_name(place.name + '.part')
    try:
        part.write_text(page, encoding='utf-8')
        os.replace(part, place)
    except OSError as error:
        raise BringupError(f'cannot write {place}: {error.strerror}; give another place with '
                           '--out') from error
    return place


def draw(run: Run) -> str:
    """Return the page of a run."""
    name = run.folder.resolve().name
    body = [parts.head(run, name)]
    for title, section, kind in _SECTIONS:
        if content := section(run):
            body.append(f'<section class="{kind}"><h2>{title}</h2>{content}</section>')
    # The title first: a text of the run must not be taken for a place of the template.
    template = _TEMPLATE.read_text(encoding='utf-8')
    above, below = template.replace(_TITLE, escape(f'{name}: report')).split(_BODY)
    return above + '\n'.join(body) + below
