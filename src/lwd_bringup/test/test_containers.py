# SPDX-License-Identifier: Apache-2.0
"""What the containers are told to start can be started; no container engine is needed for it."""

import re
from pathlib import Path

import pytest
import yaml

from lwd_bringup.config import load, parse_value
from lwd_bringup.nodes import plan

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = yaml.safe_load((ROOT / 'docker' / 'compose.yaml').read_text())
LAUNCHED = [name for name, service in COMPOSE['services'].items()
            if 'launch/' in service['command']]


def test_robots_and_learner_are_launched():
    assert sorted(LAUNCHED) == ['learner', 'robot1', 'robot2']


@pytest.mark.parametrize('name', LAUNCHED)
def test_the_arguments_of_a_container_are_settings(name):
    service = COMPOSE['services'][name]
    file = re.search(r'launch/(\w+)\.launch\.py', service['command'])
    given = {key: parse_value(value)
             for key, value in re.findall(r'([\w.]+):=(\S+)', service['command'])}
    config = load(file[1], given)
    assert str(config.domain) == service['environment']['ROS_DOMAIN_ID']
    assert plan(config)
    volumes = {volume.split(':')[1] for volume in service['volumes']}
    assert str(config.store) in volumes


def test_robots_upload_to_where_the_learner_looks_and_have_scenes_of_their_own():
    robots = [COMPOSE['services'][name]['command'] for name in ('robot1', 'robot2')]
    learner = COMPOSE['services']['learner']['command']
    for command in robots:
        assert re.search(r'store:=(\S+)', command)[1] == re.search(r'store:=(\S+)', learner)[1]
    for argument in ('robot', 'shelf', 'recorder.session.first_seed'):
        assert len({re.search(rf'(?:^|\s){re.escape(argument)}:=(\S+)', command)[1]
                    for command in robots}) == 2


@pytest.mark.parametrize('name', ['robot', 'learner'])
def test_what_a_container_copies_is_there(name):
    text = (ROOT / 'docker' / f'{name}.Dockerfile').read_text()
    sources = re.findall(r'^COPY (\S+) \S+$', text, re.MULTILINE)
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    assert text.startswith('# ')
    assert 'FROM ros:jazzy' in text
