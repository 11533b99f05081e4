# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def sdk(monkeypatch):
    """The fake SDK's module, in place of the maker's."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / 'fakes'))
    import a2d_sdk.robot
    a2d_sdk.robot.reset_world()
    yield a2d_sdk.robot
    for name in ('a2d_sdk', 'a2d_sdk.robot'):
        del sys.modules[name]


@pytest.fixture
def graph(ros_domain):
    from graph import Graph
    found = Graph(ros_domain)
    yield found
    found.close()


@pytest.fixture(params=['sim', 'sdk'])
def backend(request, sdk):
    return request.param
