# SPDX-License-Identifier: Apache-2.0
"""Lets tests import the helpers beside them, and those of other packages."""

import sys
from pathlib import Path

_SOURCES = Path(__file__).parents[3]
sys.path[:0] = [str(Path(__file__).parent), *(
    str(_SOURCES / tests) for tests in (
        'lwd_policy/test', 'lwd_actor/test/reception', 'g1_driver/test'))]
