# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

from lwd_bringup.cli import main
from lwd_data.replay import database
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.registry import JOURNAL

_SRC = Path(__file__).parents[2]
for _package in ('lwd_data', 'lwd_learner_bridge'):
    if str(_SRC / _package / 'test') not in sys.path:
        sys.path.append(str(_SRC / _package / 'test'))
from site_helpers import Site  # noqa: E402


def said(capsys):
    return ' '.join(capsys.readouterr().out.split())


def test_spool_shows_the_backlog_and_what_is_wrong(tmp_path, capsys):
    site = Site(tmp_path)
    site.record('ep1', steps=40)
    site.record('bad', steps=20, layout='scene-9')
    assert main(['spool', str(site.spool())]) == 0
    assert 'g1_01 2 3' in said(capsys)
    site.settle()
    assert main(['spool', str(site.spool()), '--robot', 'g1_01']) == 1
    out = said(capsys)
    assert 'g1_01 2 0 0.0 0 0.0 2' in out
    assert 'bad: quarantined:' in out
    assert "'scene-9'" in out


def test_the_catalogue_is_made_again_from_the_store(tmp_path, capsys):
    site = Site(tmp_path)
    site.record('ep1')
    site.settle()
    with Catalogue(site.replay) as catalogue:
        before = catalogue.snapshot()
    store = str(site.replay)
    assert main(['catalog', 'show', store]) == 0
    assert f'1 episodes, 3 segments; snapshot {before.id}; 0 notices wait' in said(capsys)
    for file in (database.FILE, f'{database.FILE}-wal', f'{database.FILE}-shm', JOURNAL):
        (site.replay / file).unlink(missing_ok=True)
    assert main(['catalog', 'show', store]) == 2
    assert '`lwd catalog rebuild` makes it' in said(capsys)
    assert main(['catalog', 'rebuild', store]) == 0
    assert f'3 of them from the answers in the store; snapshot {before.id[:12]}' in said(capsys)
    with Catalogue(site.replay) as catalogue:
        assert catalogue.snapshot() == before


@pytest.mark.parametrize(('words', 'text'), [
    (['spool', '/none'], '/none is no spool'),
    (['catalog', 'show', 's3://bucket/x'], 'say where the catalogue'),
    (['catalog', 'rebuild', 'ftp://x'], 'is no store; a URL is one of'),
])
def test_bad_input_ends_with_status_2_and_says_why(words, text, capsys):
    assert main(words) == 2
    assert text in said(capsys)
