# SPDX-License-Identifier: Apache-2.0
import pytest

from lwd_bringup.config import CONFIGS, Bringup, find_config, load
from lwd_bringup.errors import BringupError, ConfigError
from lwd_bringup.nodes import environment, executable, plan


@pytest.mark.parametrize('name', CONFIGS)
def test_the_shipped_configurations_are_right(name):
    config = load(name)
    assert config.driver.robot == config.robot
    assert config.driver.backend == config.backend
    assert plan(config)[0].parameters['robot'] == config.robot


def test_a_configuration_can_be_a_file_and_be_overridden(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('robot: g1_07\ndriver:\n  sim:\n    seed: 4\n')
    config = load(str(file), {'driver.mode': 'lockstep', 'expert': True})
    assert (config.robot, config.driver.sim.seed, config.driver.mode) == ('g1_07', 4, 'lockstep')
    nodes = plan(config)
    assert [node.name for node in nodes] == ['driver', 'arbiter', 'sim_expert']
    assert {node.namespace for node in nodes} == {'/g1_07'}
    assert nodes[0].parameters['sim.seed'] == 4
    assert nodes[0].parameters['robot'] == 'g1_07'


@pytest.mark.parametrize(('text', 'reason'), [
    ('robt: g1', "unknown parameter 'robt'; did you mean 'robot'"),
    ('driver:\n  sim:\n    sed: 1', "did you mean 'driver.sim.seed'"),
    ('robot: 7-up', "robot is '7-up'; use letters, digits and underscores"),
    ('domain: 500', r'domain is 500; it must be in 0 \.\. 101'),
    ('- a\n- b', 'holds a list; it must hold keys and values'),
    ('robot: [', 'is no YAML'),
    ('backend: sdk\ndriver:\n  backend: sim', "driver.backend is 'sim', but backend is 'sdk'"),
    ('driver:\n  robot: g1_02', "driver.robot is 'g1_02', but robot is 'g1_01'"),
    ('backend: sdk\nexpert: true', 'the scripted expert is for simulations only'),
    ('backend: sdk\ndriver:\n  mode: lockstep', 'mode is lockstep, but backend sdk'),
    ('driver:\n  safety:\n    jump: -1', r'safety\.jump is -1'),
])
def test_a_bad_file_is_refused_with_its_name_and_the_reason(tmp_path, text, reason):
    file = tmp_path / 'bad.yaml'
    file.write_text(text)
    with pytest.raises(ConfigError, match=f'(?s)bad.yaml.*{reason}'):
        load(str(file))


def test_each_in_the_chain_of_a_tick_waits_less_long_than_who_waits_for_it():
    config = load('sim_robot', {
        'operator': True, 'expert': True, 'driver.mode': 'lockstep',
        'driver.lockstep_timeout': 8.0})
    assert 0.0 < config.teleop.wait < config.arbiter.wait < config.driver.lockstep_timeout
    names = [node.name for node in plan(config)]
    assert names == ['driver', 'arbiter', 'teleop', 'sim_operator', 'sim_expert']
    assert {node.parameters['robot'] for node in plan(config)} == {'g1_01'}
    real_time = load('sim_robot', {'pad': 'gamepad'})
    assert real_time.arbiter.wait == real_time.teleop.wait == 0.0
    assert load('sim_robot', {'arbiter.wait': 0.002}).arbiter.wait == 0.002


def test_a_pad_is_set_once_for_all():
    config = load('robot', {'pad': 'spacemouse', 'joy_node': True})
    nodes = {node.name: node for node in plan(config)}
    assert list(nodes) == ['driver', 'arbiter', 'teleop', 'joy_node']
    assert nodes['teleop'].parameters['pad'] == 'spacemouse'
    assert nodes['joy_node'].needs_distribution
    for overrides, reason in (
            ({'pad': 'gamepod'}, "did you mean 'gamepad'"),
            ({'pad': 'gamepad', 'operator': True}, 'has a pad of its own'),
            ({'teleop.pad': 'spacemouse'}, "teleop.pad is 'spacemouse', but pad is ''"),
            ({'backend': 'sdk', 'operator': True}, 'operator is for simulations only')):
        with pytest.raises(ConfigError, match=reason):
            load('sim_robot', overrides)


def test_a_policy_drives_in_place_of_an_expert():
    config = load('sim_robot', {'policy': '/p', 'shelf': '/s', 'driver.mode': 'lockstep'})
    nodes = {node.name: node for node in plan(config)}
    assert list(nodes) == ['driver', 'arbiter', 'policy']
    parameters = nodes['policy'].parameters
    assert (parameters['policy'], parameters['shelf'], parameters['mode']) == (
        '/p', '/s', 'lockstep')
    served = load('robot', {'policy': 'ws://gpu:8000'}).policy_node
    assert (served.policy, served.remote, served.mode) == ('', 'ws://gpu:8000', 'real_time')
    with pytest.raises(ConfigError, match='expert is true, but there is a policy too'):
        load('sim_robot', {'policy': '/p', 'expert': True})
    with pytest.raises(ConfigError, match=r"policy_node.shelf is '/t', but shelf is ''"):
        load('sim_robot', {'policy': '/p', 'policy_node.shelf': '/t'})


def test_a_bad_override_is_blamed_on_the_override():
    with pytest.raises(ConfigError, match=r'with log_level=loud: log_level is .loud.'):
        load('sim_robot', {'log_level': 'loud'})


def test_an_unknown_configuration_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="'sim_robt'; did you mean 'sim_rob"):
        find_config('sim_robt')
    with pytest.raises(ConfigError, match=r'there is no file nowhere\.yaml'):
        find_config('nowhere.yaml')


def test_every_node_of_every_configuration_is_installed():
    for name in CONFIGS:
        for spec in plan(load(name)):
            assert executable(spec).is_file()


def test_a_node_of_the_distribution_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    nodes = plan(Bringup(rviz=True))
    with pytest.raises(BringupError, match=r'ros-jazzy-robot-state-publisher, or .* rviz=false'):
        executable(next(node for node in nodes if node.needs_distribution))
    joy = next(node for node in plan(Bringup(joy_node=True)) if node.name == 'joy_node')
    with pytest.raises(BringupError, match=r'ros-jazzy-joy, or .* joy_node=false'):
        executable(joy)
    with pytest.raises(BringupError, match='build the workspace'):
        executable(nodes[0])


def test_the_environment_keeps_a_fleet_to_itself():
    assert environment(Bringup(domain=7)) == {
        'ROS_DOMAIN_ID': '7', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'LWD_DIE_WITH_PARENT': '1'}
    assert environment(Bringup(local_only=False))['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'SUBNET'


def test_the_recorder_follows_the_driver(tmp_path):
    config = load('sim_robot', {
        'record': True, 'spool': str(tmp_path), 'expert': True, 'driver.mode': 'lockstep',
        'driver.cameras.names': ['head'], 'recorder.auto': True})
    spec = next(node for node in plan(config) if node.name == 'recorder')
    wanted = {'robot': 'g1_01', 'spool': str(tmp_path), 'cameras': ['head'], 'lockstep': True,
              'auto': True}
    assert {key: spec.parameters[key] for key in wanted} == wanted
    assert not load('sim_robot', {'record': True}).recorder.lockstep
    assert load('sim_robot').recorder.spool.endswith('.ros/lwd/spool')
    assert 'recorder' not in [node.name for node in plan(load('sim_robot'))]


@pytest.mark.parametrize(('settings', 'reason'), [
    ({'recorder.auto': True}, 'recorder.auto is true, but record is false'),
    ({'record': True, 'spool': '/a', 'recorder.spool': '/b'}, "recorder.spool is '/b', but spool"),
])
def test_recorder_settings_that_contradict_are_refused(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        load('sim_robot', settings)
