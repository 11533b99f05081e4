# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest


@pytest.fixture
def sdk(monkeypatch):
    """The fake SDK's module, in place of the maker's."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / 'fakes'))
    import a2d_sdk.robot
    a2d_sdk.robot.reset_world()
    yield a2d_sdk.robot
    for name in ('a2d_sdk', 'a2d_sdk.robot'):
        del sys.modules[name]
