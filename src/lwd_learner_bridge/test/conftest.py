# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Helper modules beside the tests, and those that write synthetic episodes.
sys.path[:0] = [str(HERE), str(HERE.parents[1] / 'lwd_data' / 'test')]
