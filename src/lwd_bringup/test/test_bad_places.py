# SPDX-License-Identifier: Apache-2.0
"""What a machine may lack is said before anything is begun."""

import errno
import os
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from lwd_bringup import cli, domains
from lwd_bringup.cli import main
from lwd_bringup.commands import loop, shared
from lwd_bringup.config import load
from lwd_bringup.errors import BringupError
from lwd_bringup.loop.web import HOST, listening
from lwd_bringup.prepare import lack_of_room, own_folders, prepare
from lwd_bringup.run_folder import held
from lwd_ros.process import DIE_WITH_PARENT

ROOT = Path(__file__).resolve().parents[3]
POLICY = ROOT / 'policies' / 'default' / 'policy'
Usage = namedtuple('Usage', 'total used free')


@pytest.fixture(autouse=True)
def no_claims_left(monkeypatch):
    monkeypatch.setattr(domains, '_claims', {})
    yield
    for claim in domains._claims.values():
        claim.close()


def demo(tmp_path, capsys, *words):
    """Return what a demo that is refused says; nothing may have been begun."""
    assert main(['demo', '--dir', str(tmp_path / 'run'), '--policy', str(POLICY), *words]) == 2
    assert list(tmp_path.iterdir()) == []
    return ' '.join(capsys.readouterr().out.split())


def test_a_port_that_was_asked_for_and_is_busy_is_named(tmp_path, capsys):
    with listening(0) as taken:
        port = taken.getsockname()[1]
        said = demo(tmp_path, capsys, '--port', str(port))
    assert f'port {port}' in said
    assert '--port' in said


def test_without_a_wish_any_free_port_will_do(monkeypatch):
    told = []

    class Console:
        def print(self, text, **_):
            told.append(text)

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, 0))
        taken.listen()
        monkeypatch.setattr('lwd_bringup.loop.web.PORT', taken.getsockname()[1])
        with loop._page(None, Console()) as page:
            assert page.getsockname()[1] != taken.getsockname()[1]
    assert len(told) == 1
    assert '--port' in told[0]


@pytest.mark.parametrize(('words', 'said'), [
    (['--policy', 'nowhere'], 'no policy in nowhere'), (['--tasks', 'restok'], 'restock'),
    (['robot.recordr.auto=true'], 'recordr'), (['--robots', '0'], 'robots is 0')])
def test_a_plan_that_cannot_be_is_refused_before_its_folder_is_begun(
    tmp_path, capsys, words, said,
):
    assert said in demo(tmp_path, capsys, '--port', '0', *words)


def test_a_disk_without_room_is_refused_by_a_demo_and_told_by_up(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: Usage(10**12, 10**12, 3 * 10**8))
    said = demo(tmp_path, capsys, '--port', '0')
    assert '0.30 GB are free' in said
    assert 'recorder.min_free_gb' in said
    assert '--dir' in said
    spool = tmp_path / 'deep' / 'spool'
    config = load('sim_robot', {'record': True, 'spool': str(spool)})
    assert str(tmp_path) in lack_of_room(config)
    assert lack_of_room(load('sim_robot')) == ''
    assert lack_of_room(load('learner')) == ''
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: Usage(10**12, 0, 10**12))
    assert lack_of_room(config) == ''


def test_two_fleets_do_not_work_in_one_folder(tmp_path, capsys, monkeypatch, ros_domain):
    """Whatever their domains and the folders of their logs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(domains, 'heard', lambda domain: [])
    monkeypatch.setenv(DIE_WITH_PARENT, '')
    fleet = tmp_path / 'fleet'
    fleet.mkdir()
    with held(fleet):
        assert main(['up', 'fleet', f'folder={fleet}', f'policy={POLICY}',
                     f'domain={ros_domain}', '--dir', 'logs']) == 2
    assert f'{fleet} is being run by process {os.getpid()}' in ' '.join(
        capsys.readouterr().out.split())
    assert own_folders(load('learner', {'run': str(fleet)})) == [fleet]
    assert own_folders(load('sim_robot')) == []


@pytest.mark.parametrize('name', ['sim_robot', 'fleet'])
def test_rviz_needs_a_display(monkeypatch, tmp_path, name):
    key = 'robot.rviz' if name == 'fleet' else 'rviz'
    config = load(name, {key: True, **({'folder': str(tmp_path)} if name == 'fleet' else {})})
    for variable in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(BringupError, match=r'DISPLAY.*rviz=false'):
        prepare(config)
    monkeypatch.setenv('DISPLAY', ':0')
    prepare(config)


def test_a_page_is_left_to_be_opened_elsewhere_where_there_is_no_browser(monkeypatch, capsys):
    from rich.console import Console
    monkeypatch.setattr(shared.webbrowser, 'open', lambda address: False)
    shared.show(Path('/page.html'), Console())
    assert 'open the file elsewhere' in ' '.join(capsys.readouterr().out.split())


@pytest.mark.parametrize(('number', 'said'), [
    (errno.ENOSPC, 'No space left on device for /data/x'), (errno.EROFS, 'Read-only')])
def test_a_disk_that_refuses_is_said_without_a_trace(monkeypatch, capsys, number, said):
    def refuse(*_):
        raise OSError(number, os.strerror(number), '/data/x')

    monkeypatch.setattr('lwd_bringup.commands.tell._tasks', refuse)
    assert cli.main(['tasks']) == 2
    assert said in ' '.join(capsys.readouterr().out.split())


def test_other_errors_keep_their_trace(monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, 'broken')

    monkeypatch.setattr('lwd_bringup.commands.tell._tasks', broken)
    with pytest.raises(OSError, match='broken'):
        main(['tasks'])
