# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import asdict

import pytest
from run_helpers import fleet, tell

from lwd_bringup.loop import history
from lwd_bringup.loop.state import EpisodeFact, FleetFact, PolicyFact
from lwd_bringup.loop.timeline import Timeline, rows, time_spent


def grown(count: int) -> FleetFact:
    """Return a fleet after so many episodes, of which the last ones cannot be sampled yet."""
    return FleetFact(float(count), episodes=[
        EpisodeFact('g1_01', f'e{number}', 'restock', 'success', 1.0, ['a'], 0, float(number),
                    float(number) + 0.5 if number < count - 2 else -1.0)
        for number in range(count)])


def test_a_line_has_what_is_new_or_changed(tmp_path):
    tell(tmp_path, *map(grown, (3, 3, 4)))
    lines = list(rows(tmp_path / 'timeline.jsonl'))
    assert [[each['episode'] for each in line['episodes']] for line in lines] == [
        ['e0', 'e1', 'e2'], [], ['e1', 'e3']]
    assert history.read(tmp_path / 'timeline.jsonl').fact == grown(4)


def test_a_long_run_is_told_in_lines_that_stay_short(tmp_path):
    tell(tmp_path, *map(grown, range(3, 400)))
    sizes = [len(line) for line in (tmp_path / 'timeline.jsonl').read_text().splitlines()]
    assert max(sizes[200:]) < 1.2 * max(sizes[:20])
    assert history.read(tmp_path / 'timeline.jsonl').fact == grown(399)


def test_a_policy_that_comes_to_run_somewhere_is_told_again(tmp_path):
    fact = FleetFact(1.0, policies=[PolicyFact(1, 'aa', 0, '', 0.5)])
    with Timeline(tmp_path / 'timeline.jsonl', 0.0) as timeline:
        timeline.add(fact)
        fact.seconds = 2.0
        fact.policies[0].running['g1_01'] = 1.5
        timeline.add(fact)
        timeline.add(fact)
    assert [len(row['policies']) for row in rows(tmp_path / 'timeline.jsonl')] == [1, 1, 0]
    assert history.read(tmp_path / 'timeline.jsonl').fact == fact


def test_lines_of_whole_facts_are_read_as_well(tmp_path):
    facts = [grown(3), grown(9)]
    (tmp_path / 'timeline.jsonl').write_text(''.join(
        json.dumps({**asdict(fact), 'before': 0.0}) + '\n' for fact in facts))
    assert history.read(tmp_path / 'timeline.jsonl').fact == facts[1]


def test_a_line_that_a_kill_cut_short_spoils_no_other(tmp_path):
    file = tmp_path / 'timeline.jsonl'
    tell(tmp_path, fleet(60.0))
    with file.open('a') as cut:
        cut.write('{"seconds": 65.0, "robo')
    tell(tmp_path, fleet(60.0, seed=1), before=60.0)
    found = history.read(file)
    assert (found.starts, found.unreadable) == (2, 1)
    assert len(found.fact.episodes) == 2 * len(fleet(60.0).episodes)
    assert time_spent(file) == 120.0


def test_what_a_full_disk_did_not_take_is_told_with_the_next_line(tmp_path):
    file = tmp_path / 'timeline.jsonl'
    timeline = Timeline(file, 0.0)
    timeline.add(grown(3))
    whole = timeline._file
    with open('/dev/full', 'wb', buffering=0) as timeline._file, \
            pytest.raises(OSError, match='No space'):
        timeline.add(grown(5))
    timeline._file = whole
    timeline.add(grown(6))
    timeline.close()
    found = history.read(file)
    assert found.fact == grown(6)
    assert found.starts == 1
