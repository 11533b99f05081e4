# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch` and `lwd up` start the same nodes: the launch files hold no list of their own."""

import ast
import sys
import types
from pathlib import Path

import pytest

from lwd_bringup.config import CONFIGS, arguments, find_config, load
from lwd_bringup.errors import BringupError, ConfigError
from lwd_bringup.nodes import environment, plan

ROOT = Path(__file__).resolve().parents[3]


def test_there_is_a_launch_file_for_each_configuration_and_no_other():
    files = {path.name.removesuffix('.launch.py') for path in (ROOT / 'launch').glob('*.py')}
    assert files == set(CONFIGS)
    assert {find_config(name).stem for name in CONFIGS} == files


@pytest.mark.parametrize('name', CONFIGS)
def test_a_launch_file_only_names_its_configuration(name):
    tree = ast.parse((ROOT / 'launch' / f'{name}.launch.py').read_text())
    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert calls == [f"describe('{name}')"]


class Recorded:
    """An object of `launch` that keeps what it was made with."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def ros_launch(monkeypatch):
    """The adapter over recorders of the constructors that it calls.

    `launch` has no wheels. Where it is installed the adapter runs over the real one by `ros2
    launch`; here its translation of the list of nodes is held against the list.
    """
    names = {
        'launch': ('LaunchContext', 'LaunchDescription', 'LaunchDescriptionEntity'),
        'launch.actions': ('DeclareLaunchArgument', 'GroupAction', 'OpaqueFunction'),
        'launch.substitutions': ('LaunchConfiguration',),
        'launch_ros': (),
        'launch_ros.actions': ('Node', 'PushROSNamespace'),
    }
    for module, classes in names.items():
        fake = types.ModuleType(module)
        for name in classes:
            setattr(fake, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, fake)
    sys.modules['launch.substitutions'].LaunchConfiguration.perform = (
        lambda self, context: context.launch_configurations[self.args[0]])
    monkeypatch.delitem(sys.modules, 'lwd_bringup.ros_launch', raising=False)
    import lwd_bringup.ros_launch as adapter
    yield adapter
    del sys.modules['lwd_bringup.ros_launch']


def launched(adapter, config, **given):
    *declared, opaque = adapter.describe(config).args[0]
    values = {action.args[0]: action.kwargs['default_value'] for action in declared}
    context = types.SimpleNamespace(launch_configurations={**values, **given})
    return declared, opaque.kwargs['function'](context)


@pytest.mark.parametrize('name', CONFIGS)
def test_launch_starts_the_planned_nodes(ros_launch, name, tmp_path):
    given = {'domain': '5', 'log_level': 'warn'}
    if name == 'fleet':
        given['folder'] = str(tmp_path)
    elif name != 'learner':
        given['robot'] = 'g1_09'
    _, groups = launched(ros_launch, name, **given)
    config = load(name, {**given, 'domain': 5})
    started = []
    for group in groups:
        push, *nodes = group.args[0]
        started += [(push.args[0], node.kwargs) for node in nodes]
    assert len(started) == len(plan(config))
    for (namespace, node), spec in zip(started, plan(config)):
        assert namespace == spec.namespace
        assert (node['package'], node['executable'], node['name']) == (
            spec.package, spec.executable, spec.name)
        assert node['parameters'] == [dict(spec.parameters)]
        assert node['remappings'] == list(spec.remappings)
        assert node['ros_arguments'] == ['--log-level', 'warn']
        assert node['additional_env'] == environment(config)
        assert node['respawn'] is spec.respawn


def test_every_launch_argument_is_described_and_is_a_setting(ros_launch):
    declared, _ = launched(ros_launch, 'sim_robot')
    names = [action.args[0] for action in declared]
    assert names == ['params_file', *(name for name, _, _ in arguments(CONFIGS['sim_robot']))]
    assert all(len(action.kwargs['description']) > 20 for action in declared)


def test_settings_of_nodes_are_taken_and_wrong_ones_refused(ros_launch):
    _, groups = launched(ros_launch, 'sim_robot', **{'driver.mode': 'lockstep'})
    assert groups[0].args[0][1].kwargs['parameters'][0]['mode'] == 'lockstep'
    _, groups = launched(ros_launch, 'sim_robot', pad='gamepad', **{
        'teleop.operator_id': 'ann', 'arbiter.wait': '0.003'})
    arbiter, teleop = (node.kwargs['parameters'][0] for node in groups[0].args[0][2:4])
    assert (teleop['operator_id'], teleop['pad'], arbiter['wait']) == ('ann', 'gamepad', 0.003)
    with pytest.raises(ConfigError, match=r"did you mean 'driver\.mode'"):
        launched(ros_launch, 'sim_robot', **{'driver.mod': 'lockstep'})


def test_nothing_starts_when_one_node_is_missing(ros_launch, monkeypatch):
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    with pytest.raises(BringupError, match='build the workspace'):
        launched(ros_launch, 'sim_robot')
