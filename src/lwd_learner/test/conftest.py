# SPDX-License-Identifier: Apache-2.0
"""Lets the tests import the helpers beside them, and those of the data they train on."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent),
                str(Path(__file__).parents[2] / 'lwd_data' / 'test')]
