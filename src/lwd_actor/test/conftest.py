# SPDX-License-Identifier: Apache-2.0
"""Lets tests import the helpers beside them, and those of lwd_policy."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent),
                str(Path(__file__).parents[2] / 'lwd_policy' / 'test')]
