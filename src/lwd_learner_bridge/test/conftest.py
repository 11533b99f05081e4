# SPDX-License-Identifier: Apache-2.0
"""Lets tests import the helpers beside them, and those of other packages."""

import sys
from pathlib import Path

_SOURCES = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), *(
    str(_SOURCES / package / 'test')
    for package in ('lwd_policy', 'lwd_actor', 'lwd_data', 'g1_driver'))]
