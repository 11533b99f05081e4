# SPDX-License-Identifier: Apache-2.0
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwd_learner_bridge.errors import SpoolError, StoreError
from lwd_learner_bridge.ingest.namesakes import Namesakes
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.notice import (
    Answer,
    Notice,
    SegmentFacts,
    decode_answer,
    decode_notice,
    encode,
)
from lwd_learner_bridge.upload.pacing import Backoff, Limit
from lwd_learner_bridge.upload.spool import Spool
from lwd_learner_bridge.worker import Worker

WORDS = st.from_regex(r'[A-Za-z0-9_][A-Za-z0-9_-]{0,20}', fullmatch=True)
HASHES = st.text('0123456789abcdef', min_size=64, max_size=64)
SEGMENTS = st.builds(
    SegmentFacts, st.integers(0, 10**6), st.integers(0, 2**40), HASHES, st.integers(),
    st.integers(), st.booleans(), st.booleans())
NOTICES = st.builds(
    Notice, WORDS, WORDS, st.text(), st.integers(0, 99), st.integers(0, 10**6),
    st.dictionaries(st.text(), st.text(), max_size=3), st.none() | SEGMENTS, st.integers(0, 9))


@given(NOTICES)
def test_notices_and_answers_come_through_the_store_as_they_were(notice):
    assert decode_notice(encode(notice), 'x') == notice
    answer = Answer(notice, 'again', 'why', 3, '{}', 4, '{}')
    assert decode_answer(encode(answer), 'x') == answer


@given(NOTICES)
def test_a_notices_name_tells_what_it_is_about(notice):
    number, revision, short = names.split_notice_name(notice.name)
    assert (number, revision) == (notice.segment and notice.segment.number, notice.revision)
    if notice.segment is not None:
        assert notice.segment.sha256.startswith(short)
        assert short in notice.segment_key
    assert notice.key.split('/')[1:] == notice.answer_key.split('/')[1:]


@pytest.mark.parametrize('name', [
    '', 'x', '00000-0-0123.json', '00000-0-0123456789abcdef.txt', '0-0-0123456789abcdef.json',
    '00000--1-0123456789abcdef.json', 'end-1-0123456789ABCDEF.json'])
def test_other_names_are_no_notices(name):
    assert names.split_notice_name(name) is None


@pytest.mark.parametrize('word', ['', '..', 'a/b', '.hidden', 'a..b', 'x' * 200, 'a b', 'ä'])
def test_names_that_are_no_part_of_a_path_are_refused(word, tmp_path):
    assert not names.is_word(word)
    with pytest.raises(SpoolError, match='is no name of a robot'):
        Spool(tmp_path, word)


def test_waits_double_up_to_a_limit_and_are_drawn():
    backoff = Backoff(first=0.5, longest=60.0)
    waits = [backoff.failed() for _ in range(2000)]
    assert all(wait <= min(60.0, 0.5 * 2.0 ** min(k, 30)) for k, wait in enumerate(waits))
    assert all(wait >= 30.0 for wait in waits[10:])
    assert len(set(waits[10:])) > 100
    backoff.succeeded()
    assert backoff.failed() <= 0.5


def test_a_limit_lets_through_its_rate_and_does_not_save_up():
    now = [0.0]
    limit = Limit(100.0, clock=lambda: now[0],
                  sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    for _ in range(50):
        limit.take(20)
    assert now[0] == pytest.approx(10.0, abs=0.3)
    now[0] += 1000.0
    began = now[0]
    for _ in range(50):
        limit.take(20)
    assert now[0] - began == pytest.approx(10.0, abs=0.3)


def test_a_new_spool_under_an_old_name_is_fine_and_two_by_turns_are_not():
    def notice(machine):
        return Notice('g1_01', 'ep', machine, 0, 0, {})

    namesakes = Namesakes()
    assert [namesakes.hear(notice(name)) for name in 'aabb'] == [''] * 4
    assert 'two machines upload as g1_01' in namesakes.hear(notice('a'))
    assert namesakes.hear(notice('b')) == ''
    assert set(namesakes.problems) == {'g1_01'}


def test_a_worker_whose_core_breaks_says_so(monkeypatch):
    broke = threading.Event()
    monkeypatch.setattr(threading, 'excepthook', lambda arguments: broke.set())
    worker = Worker(lambda: 1 / 0, (StoreError,), print)
    assert broke.wait(300.0)
    worker._thread.join(300.0)
    assert 'nobody foresaw' in worker.failure


class Core:
    def __init__(self, worked):
        self.worked, self.closed = worked, False

    def work(self):
        self.worked.release()
        return 3600.0

    def close(self):
        self.closed = True


def test_a_worker_makes_its_core_again_until_it_can_and_works_when_woken():
    said, worked, cores = [], threading.Semaphore(0), []

    def make():
        if not said:
            raise StoreError('not there yet')
        cores.append(Core(worked))
        return cores[-1]

    worker = Worker(make, (StoreError,), said.append, pause=0.0)
    for _ in range(3):
        assert worked.acquire(timeout=300.0)
        worker.wake()
    assert worker.stop(timeout=300.0)
    assert said == ['not there yet']
    assert [core.closed for core in cores] == [True]
    assert worker.core is None
