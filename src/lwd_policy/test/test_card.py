# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace

import pytest

from lwd_policy.card import FORMAT_VERSION, PolicyCard, PolicyLayout, dumps, loads
from lwd_policy.errors import CardError

VERSION = 'ab' * 32


def card(**changes):
    values = {
        'name': 'restock', 'architecture': {'width': 64, 'heads': [4, 4]}, 'observation': 'scene',
        'layout': PolicyLayout(('torso_lift', 'head_yaw'), 30, 'scene-1'), 'algorithm': 'bc',
        'command': 'lwd train --task restock', 'seed': 3, **changes}
    return PolicyCard(**values)


def changed(**changes):
    """Return the JSON of a card with some keys set, or without those that are None."""
    content = {**json.loads(dumps(card())), **changes}
    return json.dumps({key: value for key, value in content.items() if value is not None})


def test_a_card_survives_the_way_to_json():
    full = card(parent=VERSION, snapshot='s-7', metrics={'success': 0.5, 'updates': 50},
                notes='Grüße', version=VERSION, tensors={'a': 'F32 [2]'})
    assert loads(dumps(full), where='card.json') == full
    assert 'Grüße' in dumps(full)


def test_an_unknown_key_is_refused_with_the_nearest():
    with pytest.raises(CardError, match=r"a/card.json has the unknown key 'sede'.*'seed'"):
        loads(changed(sede=3), where='a/card.json')
    with pytest.raises(CardError, match=r"layout has the unknown key 'joint'.*'joints'"):
        loads(changed(layout={'joints': ['a'], 'horizon': 3, 'scene': '', 'joint': []}),
              where='card.json')


def test_missing_keys_are_named():
    with pytest.raises(CardError, match='lacks seed, notes'):
        loads(changed(seed=None, notes=None), where='card.json')
    with pytest.raises(CardError, match='layout lacks horizon'):
        loads(changed(layout={'joints': ['a'], 'scene': ''}), where='card.json')


def test_a_newer_format_is_refused_before_its_new_keys_are():
    with pytest.raises(CardError, match=rf'format {FORMAT_VERSION + 1}.*update LWD'):
        loads(changed(format=FORMAT_VERSION + 1, mood='good'), where='card.json')


@pytest.mark.parametrize('text', ['', '{', '[]', '7', 'null'])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(CardError, match=r'card\.json is'):
        loads(text, where='card.json')


@pytest.mark.parametrize(('key', 'value', 'match'), [
    ('name', '', 'not empty'),
    ('seed', '3', "seed is '3'; it must be a whole number"),
    ('seed', True, 'a whole number'),
    ('observation', 'lidar', "'lidar'; it must be one of scene, cameras"),
    ('observation', ['scene'], 'one of scene, cameras'),
    ('parent', 'ABC', 'a SHA-256 in hex'),
    ('version', VERSION[:-1], 'a SHA-256 in hex'),
    ('metrics', {'success': 'good'}, 'finite numbers'),
    ('architecture', [], 'an object'),
    ('tensors', {'a': 1}, 'an object of strings'),
    ('created', 'yesterday', 'ISO 8601'),
    ('created', '2026-01-01T00:00:00', 'with its zone'),
    ('format', 0, 'from 1'),
    ('layout', 'left', 'an object'),
    ('layout', {'joints': ['a', 'a'], 'horizon': 3, 'scene': ''}, 'different names'),
    ('layout', {'joints': [], 'horizon': 3, 'scene': ''}, 'different names'),
    ('layout', {'joints': ['a'], 'horizon': 0, 'scene': ''}, 'from 1'),
])
def test_a_value_of_the_wrong_kind_is_refused(key, value, match):
    with pytest.raises(CardError, match=match):
        loads(changed(**{key: value}), where='card.json')


def test_a_card_that_could_not_be_read_is_not_written():
    with pytest.raises(CardError, match=r'metrics is .*nan.*leave out'):
        dumps(card(metrics={'success': float('nan')}))
    with pytest.raises(CardError, match='cannot be written as JSON'):
        dumps(card(architecture={'act': {'gelu'}}))
    with pytest.raises(CardError, match="observation is 'lidar'"):
        dumps(card(observation='lidar'))


def test_a_child_names_its_parent_and_starts_without_its_figures():
    parent = card(version=VERSION, tensors={'a': 'F32 [2]'}, metrics={'success': 0.5})
    child = parent.child(algorithm='qam', seed=4)
    assert child == replace(parent, parent=VERSION, version='', tensors={}, metrics={},
                            algorithm='qam', seed=4, created=child.created)
