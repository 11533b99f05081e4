# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from g1_description.joints import STATE_JOINTS
from lwd_data.errors import ExchangeError
from lwd_data.exchange import mapping, mapping_file, pictures
from lwd_data.exchange.fields import state
from lwd_data.exchange.recording import Recording
from lwd_data.exchange.resample import RATE, is_regular, resample

AGIBOT = yaml.safe_load(mapping_file.shipped()['agibot-world'].read_text())


class Columns:
    """Fields that are given."""

    where = 'here'

    def __init__(self, fields):
        self.fields = fields

    def rows(self, name):
        return self.fields[name]

    def columns(self, name):
        return ()


def written(folder, **changes):
    """Write a changed mapping; a value of None leaves its key out."""
    content = {key: value for key, value in {**AGIBOT, **changes}.items() if value is not None}
    path = folder / 'own.yaml'
    path.write_text(yaml.safe_dump(content))
    return path


def test_all_shipped_mappings_hold_together():
    assert set(mapping_file.shipped()) >= {'agibot-world', 'lerobot-agibot', 'lerobot-lwd'}
    for name in mapping_file.shipped():
        found = mapping_file.find(name)
        assert found.name == name
        assert len(found.digest) == 64
        assert set(found.state) == set(mapping.PARTS)


def test_the_parts_are_the_joints_of_a_state():
    places = [place for part in mapping.PARTS.values() for place in part]
    assert sorted(places) == list(range(len(STATE_JOINTS)))


def part(**changes):
    return {**AGIBOT, 'state': {**AGIBOT['state'], 'head': {
        'field': 'state/head/position', 'columns': [0, 1], **changes}}}


WRONG = {
    'key': ({'stat': {}}, "unknown key 'stat'; did you mean 'state'"),
    'format': ({'format': 'agibot'}, "format is 'agibot'; did you mean 'agibot-world'"),
    'no format': ({'format': None}, 'has no format'),
    'part': ({'state': {key: value for key, value in AGIBOT['state'].items() if key != 'lift'}},
             'state lacks lift'),
    'unknown part': ({'command': {**AGIBOT['command'], 'head': {'constant': [0, 0]}}},
                     "unknown part 'head'"),
    'unit': (part(unit='grad'), "unit is 'grad'; did you mean 'rad'"),
    'closure': (part(unit='closure'), 'closure is for grippers, and only for them'),
    'count': (part(columns=[0]), 'has 1 columns; head has 2'),
    'both': (part(constant=[0.0, 0.0]), 'needs either a field or a constant'),
    'list': (part(columns=0), 'columns is 0; it must be a list'),
    'number': ({'max_gap': 'long'}, "max_gap is 'long'; it must be a number"),
    'size': ({'image_size': -1}, 'image_size is -1; it must be a whole number from 0'),
    'text': ({'time': 3}, 'time is 3; it must be a text'),
    'truth': ({'optional_cameras': 'no'}, "optional_cameras is 'no'; it must be true or false"),
    'camera': ({'cameras': {'left_wirst': 'x'}}, "did you mean 'left_wrist'"),
    'open': ({'state': {**AGIBOT['state'], 'left_gripper': {
        'field': 'x', 'columns': [0], 'open': 1, 'closed': 1}}}, 'open and closed are both 1'),
    'table': ({'state': [1]}, 'it must be keys with values'),
}


@pytest.mark.parametrize('case', WRONG)
def test_a_mapping_that_does_not_hold_together_is_refused(tmp_path, case):
    changes, text = WRONG[case]
    with pytest.raises(ExchangeError) as found:
        mapping_file.load(written(tmp_path, **changes))
    assert text in str(found.value)
    assert 'own.yaml' in str(found.value)


def test_an_unknown_mapping_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(ExchangeError, match="did you mean 'agibot-world'"):
        mapping_file.find('agibot-wrld')
    with pytest.raises(ExchangeError, match='there is no mapping'):
        mapping_file.find(str(tmp_path / 'none.yaml'))
    (tmp_path / 'bad.yaml').write_text('{')
    with pytest.raises(ExchangeError, match='is no YAML'):
        mapping_file.find(str(tmp_path / 'bad.yaml'))


def test_units_and_constants_come_out_in_ours(tmp_path):
    found = mapping_file.load(written(
        tmp_path, tolerance=0.2, state={
            **AGIBOT['state'],
            'head': {'field': 'head', 'columns': [1, 0], 'unit': 'deg'},
            'lift': {'field': 'lift', 'columns': [0], 'unit': 'cm'},
            'waist_pitch': {'constant': [0.3]},
            'left_gripper': {'field': 'hand', 'columns': [0], 'open': 100, 'closed': 20}}))
    values = state(Columns({
        'state/joint/position': np.zeros((2, 14)), 'state/effector/position': np.full((2, 2), 35),
        'head': np.array([[20.0, 45.0], [0.0, -45.0]]), 'lift': np.array([30.0, 10.0]),
        'hand': np.array([60.0, 16.0])}), found, 2)
    np.testing.assert_allclose(values[:, 16], [math.pi / 4, -math.pi / 4])
    np.testing.assert_allclose(values[:, 17], [math.pi / 9, 0.0])
    np.testing.assert_allclose(values[:, 18], [0.3, 0.1])
    assert values[:, 19].tolist() == [0.3, 0.3]
    # A little beyond its end a raw gripper is closed.
    np.testing.assert_allclose(values[:, 7], [0.5, 1.0])


def recording(time, **changes):
    count = len(time)
    ramp = np.asarray(time, float)[:, None]
    return Recording(
        where='here', name='one', task='task', instruction='do', label='success',
        time_s=np.asarray(time, float), state=ramp * np.arange(20), command=ramp * np.arange(16),
        source=np.arange(count).astype(np.uint8) % 4, **changes)


def test_what_comes_at_the_rate_of_control_is_left_as_it_is():
    jitter = np.array([0.0, 0.004, -0.004, 0.003, 0.0])
    given_ = recording(np.arange(5) / RATE + jitter)
    found, rows = resample(given_, max_gap=0.2)
    assert found is given_
    assert rows.tolist() == [0, 1, 2, 3, 4]


def test_ticks_of_the_data_are_kept_with_their_gaps():
    given_ = recording([0.0, 1.0, 5.0], tick=np.array([3, 4, 90]))
    found, rows = resample(given_, max_gap=0.2)
    assert found.tick.tolist() == [3, 4, 90]
    assert rows.tolist() == [0, 1, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.005, 0.19), min_size=2, max_size=40), st.integers(0, 39))
@example([0.125, 0.125, 0.18247908, 0.17637498, 0.17484722, 0.11467268, 0.11467268, 0.1034236,
          0.0406933, 0.00947974], 0)
def test_resampled_joints_lie_on_their_line_and_events_come_once_and_in_time(steps, at):
    time = np.concatenate([[2.0], 2.0 + np.cumsum(steps)])
    if is_regular(time):
        return
    at %= len(time)
    reward, terminal = np.zeros(len(time)), np.zeros(len(time), np.uint8)
    reward[at], terminal[at] = 0.5, 1
    found, rows = resample(
        recording(time, reward=reward, terminal=terminal), max_gap=0.2)
    grid = found.time_s
    np.testing.assert_allclose(np.diff(grid), 1.0 / RATE)
    assert grid[0] == time[0]
    assert time[-1] - 1.0 / RATE < grid[-1] + 1e-3
    # The last tick may lie a thousandth of one behind the recording, whose end it then repeats.
    assert grid[-1] < time[-1] + 1e-3 / RATE + 1e-9
    within = np.minimum(grid, time[-1])[:, None]
    np.testing.assert_allclose(found.state, within * np.arange(20), atol=1e-9)
    np.testing.assert_allclose(found.command, within * np.arange(16), atol=1e-9)
    # The last frame before each tick.
    assert np.all(time[rows] <= grid + 2e-3)
    assert np.array_equal(found.source, rows % 4)
    assert found.reward.sum() == 0.5
    place = np.flatnonzero(found.terminal)
    assert len(place) == 1
    assert place[0] == np.flatnonzero(found.reward)[0]
    assert grid[place[0]] >= time[at] - 2e-3 or place[0] == len(grid) - 1


def test_images_keep_their_middle():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 20:60] = 200
    for size in (10, 40, 64):
        found = pictures.square(image, size)
        assert found.shape == (size, size, 3)
        assert found.min() == 200
    assert pictures.square(image, 0) is image


def test_a_jpeg_that_fits_is_recorded_as_it_is():
    data = pictures.encode(np.full((16, 16, 3), 99, np.uint8), 80)
    assert pictures.prepared(data, 0, 50, 'here') is data
    assert pictures.prepared(data, 16, 50, 'here') is data
    assert pictures.decode(pictures.prepared(data, 8, 90, 'here'), 'here').shape == (8, 8, 3)
    with pytest.raises(ExchangeError, match='here is no image'):
        pictures.prepared(b'\xff\xd8\xff', 8, 90, 'here')
