# SPDX-License-Identifier: Apache-2.0
"""Writes the page of an episode."""

from __future__ import annotations

import html
import json
from pathlib import Path

from lwd_bringup.errors import BringupError
from lwd_bringup.view.contents import contents

LIMIT_BYTES = 40 << 20
_TEMPLATE = Path(__file__).with_name('page.html')
_TITLE, _DATA = '%TITLE%', '%DATA%'


def write(folder: Path, file: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
    """Write the page of an episode; everything is in the one file.

    Args:
        folder: The episode.
        file: The page; replaced if it is there.
        limit_bytes: Of all images together; beyond it every second, third, ... one is shown.

    Raises:
        BringupError: The episode cannot be shown, or the file not be written.
    """
    # A text of the episode must not be able to end the script.
    data = json.dumps(contents(folder, limit_bytes=limit_bytes)).replace('<', '\\u003c')
    page = _TEMPLATE.read_text(encoding='utf-8')
    page = page.replace(_TITLE, html.escape(folder.name)).replace(_DATA, data)
    try:
        file.write_text(page, encoding='utf-8')
    except OSError as error:
        raise BringupError(f'cannot write {file}: {error.strerror}') from error
