# SPDX-License-Identifier: Apache-2.0
import pytest

from lwd_bringup.config import CONFIGS, Bringup, find_config, load, load_robot
from lwd_bringup.errors import BringupError, ConfigError
from lwd_bringup.nodes import environment, executable, plan


@pytest.mark.parametrize('name', ['sim_robot', 'robot'])
def test_the_shipped_configurations_are_right(name):
    config = load_robot(name)
    assert config.driver.robot == config.robot
    assert config.driver.backend == config.backend
    assert plan(config)[0].parameters['robot'] == config.robot


def test_a_configuration_can_be_a_file_and_be_overridden(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('robot: g1_07\ndriver:\n  sim:\n    seed: 4\n')
    config = load_robot(str(file), {'driver.mode': 'lockstep', 'expert': True})
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
        load_robot(str(file))


def test_each_in_the_chain_of_a_tick_waits_less_long_than_who_waits_for_it():
    config = load_robot('sim_robot', {
        'operator': True, 'expert': True, 'driver.mode': 'lockstep',
        'driver.lockstep_timeout': 8.0})
    assert 0.0 < config.teleop.wait < config.arbiter.wait < config.driver.lockstep_timeout
    names = [node.name for node in plan(config)]
    assert names == ['driver', 'arbiter', 'teleop', 'sim_operator', 'sim_expert']
    assert {node.parameters['robot'] for node in plan(config)} == {'g1_01'}
    real_time = load_robot('sim_robot', {'pad': 'gamepad'})
    assert real_time.arbiter.wait == real_time.teleop.wait == 0.0
    assert load_robot('sim_robot', {'arbiter.wait': 0.002}).arbiter.wait == 0.002


def test_a_pad_is_set_once_for_all():
    config = load_robot('robot', {'pad': 'spacemouse', 'joy_node': True})
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
            load_robot('sim_robot', overrides)


def test_a_policy_drives_in_place_of_an_expert():
    config = load_robot('sim_robot', {'policy': '/p', 'shelf': '/s', 'driver.mode': 'lockstep'})
    nodes = {node.name: node for node in plan(config)}
    assert list(nodes) == ['driver', 'arbiter', 'policy']
    parameters = nodes['policy'].parameters
    assert (parameters['policy'], parameters['shelf'], parameters['mode']) == (
        '/p', '/s', 'lockstep')
    served = load_robot('robot', {'policy': 'ws://gpu:8000'}).policy_node
    assert (served.policy, served.remote, served.mode) == ('', 'ws://gpu:8000', 'real_time')
    with pytest.raises(ConfigError, match='expert is true, but there is a policy too'):
        load_robot('sim_robot', {'policy': '/p', 'expert': True})
    with pytest.raises(ConfigError, match=r"policy_node.shelf is '/t', but shelf is ''"):
        load_robot('sim_robot', {'policy': '/p', 'policy_node.shelf': '/t'})


def test_a_bad_override_is_blamed_on_the_override():
    with pytest.raises(ConfigError, match=r'with log_level=loud: log_level is .loud.'):
        load_robot('sim_robot', {'log_level': 'loud'})


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


def test_a_learner_finds_what_robots_upload():
    config = load('learner', {'store': '/data/store', 'run': '/data/run', 'init': '/p',
                              'signing_key': '/k/learner.key'})
    coordinator, publisher, learner = (node.parameters for node in plan(config))
    assert coordinator['store'] == learner['store'] == coordinator['replay'] == '/data/store'
    assert (learner['run'], learner['init']) == ('/data/run', '/p')
    assert publisher['published'] == '/data/run/published'
    assert publisher['signing_key'] == '/k/learner.key'
    with pytest.raises(ConfigError, match='which is no folder of this machine'):
        load('learner', {'store': 's3://bucket/fleet'})
    remote = load('learner', {'store': 's3://bucket/fleet', 'replay': '/data/replay'})
    assert plan(remote)[2].parameters['store'] == '/data/replay'
    with pytest.raises(ConfigError, match=r"learner\.store is '/other'; set store alone"):
        load('learner', {'learner.store': '/other'})
    with pytest.raises(ConfigError, match='of no robot'):
        load_robot('learner')


def test_robots_of_a_fleet_share_a_store_and_nothing_else():
    config = load('fleet', {'robots': 3, 'folder': '/f', 'domain': 9, 'policy': '/p'})
    nodes = plan(config)
    assert {node.namespace for node in nodes} == {'/lwd', '/g1_01', '/g1_02', '/g1_03'}
    by_name = {}
    for node in nodes:
        by_name.setdefault(node.name, []).append(node.parameters)
    assert {each['store'] for each in by_name['uploader']} == {'/f/store'}
    assert by_name['coordinator'][0]['store'] == '/f/store'
    assert [each['shelf'] for each in by_name['policy_receiver']] == [
        f'/f/shelves/g1_0{n}' for n in (1, 2, 3)]
    assert {each['policy'] for each in by_name['policy']} == {'/p'}
    assert by_name['learner'][0]['init'] == '/p'
    seeds = [each['session.first_seed'] for each in by_name['recorder']]
    assert len(set(seeds)) == 3
    assert len(by_name['sim_operator']) == 3
    with pytest.raises(ConfigError, match=r'robot\.spool'):
        load('fleet', {'policy': '/p', 'robot.spool': '/elsewhere'})
    with pytest.raises(ConfigError, match='policy is empty'):
        load('fleet', {'policy': ''})


def test_a_configuration_says_what_it_is_of(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('kind: fleet\npolicy: /p\nrobots: 4\n')
    assert len({node.namespace for node in plan(load(str(file)))}) == 5
    file.write_text('kind: flet\n')
    with pytest.raises(ConfigError, match="did you mean 'fleet'"):
        load(str(file))


@pytest.mark.parametrize(('overrides', 'said'), [
    ({'keys': '/k'}, 'shelf is empty'),
    ({'store': '/s'}, 'nothing to upload'),
])
def test_what_a_robot_needs_for_the_loop_is_said(overrides, said):
    with pytest.raises(ConfigError, match=said):
        load('sim_robot', overrides)
