# SPDX-License-Identifier: Apache-2.0
"""Publications are whole, and each is later than the one before."""

from __future__ import annotations

import json
import time

import pytest
from tiny_policies import saved, tiny, trained

from lwd_policy.errors import PublishedError, WeightsError
from lwd_policy.published import Published


def test_folder_that_is_not_there_holds_nothing(tmp_path):
    published = Published(tmp_path / 'none')
    assert published.latest() is None
    assert published.all() == []


def test_numbers_and_stamps_only_grow_though_the_clock_is_set_back(tmp_path, monkeypatch):
    policy, found = tiny(), []
    for number in range(3):
        card = saved(tmp_path / str(number), trained(policy, number), metrics={'success': 0.5})
        # A new object each time: as after a restart of the learner.
        found.append(Published(tmp_path / 'out').add(
            tmp_path / str(number), update=number * 50, snapshot='s'))
        assert found[-1].version == card.version
        assert Published(tmp_path / 'out').latest() == found[-1]
        monkeypatch.setattr(time, 'time_ns', lambda: 1)
    assert [one.number for one in found] == [1, 2, 3]
    assert found[0].stamp_ns < found[1].stamp_ns < found[2].stamp_ns
    assert Published(tmp_path / 'out').all() == found[::-1]
    assert json.loads((tmp_path / 'out' / 'latest.json').read_text())['update'] == 100
    assert found[-1].metrics == {'success': 0.5}
    assert (found[-1].folder / 'canary.safetensors').is_file()


def test_publication_does_not_need_its_source(tmp_path):
    saved(tmp_path / 'policy', tiny())
    found = Published(tmp_path / 'out').add(tmp_path / 'policy', update=1)
    for file in (tmp_path / 'policy').iterdir():
        file.unlink()
    assert found.whole
    assert found.card().version == found.version


def test_same_version_can_be_published_anew(tmp_path):
    saved(tmp_path / 'policy', tiny())
    published = Published(tmp_path / 'out')
    first = published.add(tmp_path / 'policy', update=1)
    again = published.add(first.folder, update=1)
    assert (again.version, again.number) == (first.version, 2)
    assert again.stamp_ns > first.stamp_ns


def test_old_weights_go_and_cards_stay(tmp_path):
    published, policy = Published(tmp_path / 'out'), tiny()
    for number in range(4):
        saved(tmp_path / str(number), trained(policy, number))
        published.add(tmp_path / str(number), update=number)
    assert [one.number for one in published.keep(2)] == [2, 1]
    assert [one.whole for one in published.all()] == [True, True, False, False]
    assert [one.card().name for one in published.all()] == ['tiny'] * 4
    assert published.keep(2) == []


def test_what_is_no_policy_is_not_published(tmp_path):
    saved(tmp_path / 'policy', tiny())
    file = tmp_path / 'policy' / 'weights.safetensors'
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match='changed or is damaged'):
        Published(tmp_path / 'out').add(tmp_path / 'policy', update=1)
    assert Published(tmp_path / 'out').latest() is None


def test_damaged_publication_is_named(tmp_path):
    saved(tmp_path / 'policy', tiny())
    found = Published(tmp_path / 'out').add(tmp_path / 'policy', update=1)
    (found.folder / 'publication.json').write_text('{')
    with pytest.raises(PublishedError, match=r'publication\.json cannot be read'):
        Published(tmp_path / 'out').latest()
