# SPDX-License-Identifier: Apache-2.0
import hashlib
import json

import pytest

from lwd_bringup.errors import BringupError
from lwd_bringup.loop.audit import audit
from lwd_data import metadata as metadata_file
from lwd_data.metadata import Metadata, Segment
from lwd_data.replay import database
from lwd_data.replay.registry import JOURNAL, Registry

ROBOT = 'g1_01'


class Site:
    """A spool and a store whose segments are a few bytes."""

    def __init__(self, folder):
        self.store, self.spool = folder / 'store', folder / 'spool'
        self.store.mkdir()
        (self.spool / ROBOT).mkdir(parents=True)
        # As an uploader leaves its own memory there.
        (self.spool / '.uploads').mkdir()
        Registry(self.store).db.close()

    def record(self, episode, *contents):
        folder = self.spool / ROBOT / episode
        folder.mkdir()
        segments = []
        for number, content in enumerate(contents):
            (folder / f'{episode}_{number}.mcap').write_bytes(content)
            segments.append(Segment(f'{episode}_{number}.mcap', 1, 2))
        metadata_file.write(folder, Metadata(
            custom={'episode_id': episode, 'robot': ROBOT}, segments=segments))

    def register(self, episode, number, content, *, origin='online'):
        folder = f'segments/{ROBOT}/{episode}'
        (self.store / folder).mkdir(parents=True, exist_ok=True)
        (self.store / folder / f'{number}.mcap').write_bytes(content)
        registry = Registry(self.store)
        with registry.transaction():
            if number == 0:
                registry.add(folder, database.description_content(
                    episode, ROBOT, 'restock', 'do', origin, '{}'))
            registry.add(folder, database.segment_content(
                episode, number, f'{number}.mcap', len(content),
                hashlib.sha256(content).hexdigest(), 0))
        registry.db.close()

    def audit(self):
        return audit(self.store, self.spool)


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    found.record('one', b'a', b'b')
    for number, content in enumerate((b'a', b'b')):
        found.register('one', number, content)
    return found


def test_what_is_there_once_is_well(site):
    found = site.audit()
    assert found.registered == 2
    assert [found.waiting, found.lost, found.doubled, found.quarantined, found.unreadable] == (
        [[]] * 5)
    assert found.files == {'one': [site.store / 'segments' / ROBOT / 'one' / f'{number}.mcap'
                                   for number in (0, 1)]}


def test_what_is_yet_to_be_uploaded_waits(site):
    site.record('two', b'c', b'd')
    site.register('two', 0, b'c')
    found = site.audit()
    assert (found.waiting, found.lost) == (['two/1'], [])
    assert found.files['two'][1] == site.spool / ROBOT / 'two' / 'two_1.mcap'


def test_another_content_and_a_hole_are_losses(site):
    site.record('two', b'c')
    site.register('two', 0, b'x')
    # Its spool was emptied when all was confirmed, as it seemed.
    site.register('three', 0, b'e')
    site.register('three', 2, b'g')
    assert site.audit().lost == ['two/0', 'three/1']


def test_what_was_registered_twice_is_found_by_line_and_by_content(site):
    with (site.store / JOURNAL).open('a') as file:
        file.write(json.dumps({'content': ['segment', 'one', 1, 'f', 1, 'h', 0]}) + '\n')
    assert site.audit().doubled == ['one/1']


def test_one_content_under_two_names_is_doubled(site):
    site.register('two', 0, b'b')
    assert site.audit().doubled == ['one/1', 'two/0']


def test_offline_episodes_are_not_of_the_fleet(site):
    site.register('pool', 0, b'z', origin='offline')
    assert site.audit().registered == 2


def test_quarantine_and_what_cannot_be_read_are_named(site):
    place = site.store / 'quarantine' / ROBOT / 'two'
    place.mkdir(parents=True)
    (place / 'two_0.mcap').write_bytes(b'q')
    (site.spool / ROBOT / 'bad').mkdir()
    (site.spool / ROBOT / 'bad' / metadata_file.FILE).write_text('nothing')
    found = site.audit()
    assert found.quarantined == [f'{ROBOT}/two/two_0.mcap']
    assert len(found.unreadable) == 1


def test_a_store_without_a_catalogue_is_refused(tmp_path):
    with pytest.raises(BringupError, match='catalogue'):
        audit(tmp_path, tmp_path)
