# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Helper modules beside the tests, and those that write synthetic episodes.
sys.path[:0] = [str(HERE), str(HERE.parents[1] / 'lwd_data' / 'test')]
"""Lets tests import the helpers beside them, and those of other packages."""

import sys
from pathlib import Path

_SOURCES = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), *(
    str(_SOURCES / package / 'test') for package in ('lwd_policy', 'lwd_actor', 'g1_driver'))]
