# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lwd_bringup import run_folder
from lwd_bringup.cli import main
from lwd_bringup.commands import run as run_command
from lwd_bringup.errors import BringupError
from lwd_bringup.run_folder import Begun, begin, begun_with, held

SAID = Begun('fleet', {'robots': 3, 'robot.driver.cameras.names': []}, str(Path.cwd()))


def test_a_run_is_gone_on_with_as_it_was_begun(tmp_path):
    begin(tmp_path / 'run', SAID)
    assert begun_with(tmp_path / 'run') == SAID
    # The same again, as from a service that starts at every boot.
    begin(tmp_path / 'run', SAID)
    with pytest.raises(BringupError, match=r'other settings.*--resume'):
        begin(tmp_path / 'run', Begun('fleet', {'robots': 4}, SAID.where))


@pytest.mark.parametrize(('content', 'said'), [
    (None, 'holds no run'), ('{"conf', 'cannot be read'), ('{"colour": 1}', 'cannot be read'),
    (json.dumps({**vars(SAID), 'where': '/nowhere'}), 'begun in /nowhere, which is gone')])
def test_a_run_that_cannot_be_gone_on_with_says_why(tmp_path, content, said):
    if content is not None:
        (tmp_path / run_folder.FILE).write_text(content)
    with pytest.raises(BringupError, match=said):
        begun_with(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(BringupError, match=r'file/run cannot be made.*--dir'):
        begin(tmp_path / 'file' / 'run', SAID)


def test_one_process_runs_a_run(tmp_path):
    code = ('import sys, pathlib\nfrom lwd_bringup.run_folder import held\n'
            'with held(pathlib.Path(sys.argv[1])):\n    print("has", flush=True)\n'
            '    sys.stdin.read()')
    other = subprocess.Popen([sys.executable, '-c', code, str(tmp_path)], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == 'has\n'
        with pytest.raises(BringupError, match=f'being run by process {other.pid}'), \
                held(tmp_path):
            pass
        other.kill()
        other.wait(60)
        with held(tmp_path):
            pass
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize(('words', 'said'), [
    ([], 'name a configuration'), (['--resume', 'nowhere'], 'holds no run'),
    (['fleet', '--resume', 'nowhere'], 'leave out'),
    (['--resume', 'nowhere', '--dir', 'x'], 'leave out')])
def test_up_says_what_it_lacks(words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(['up', *words]) == 2
    assert said in ' '.join(capsys.readouterr().out.split())
    assert list(tmp_path.iterdir()) == []


def test_up_goes_on_with_the_configuration_of_the_run(monkeypatch, tmp_path):
    """Also from elsewhere: relative paths are meant as they were typed."""
    (tmp_path / 'mine.yaml').write_text('kind: robot\nrobot: g1_07\n')
    monkeypatch.chdir(tmp_path)
    begun = []

    def note(options, console):
        begun.append(run_command._run(options))
        begin(begun[-1][0], begun[-1][2])
        return 0

    monkeypatch.setattr(run_command, '_up', note)
    assert main(['up', 'mine.yaml', 'record=true', 'spool=here', '--dir', 'run']) == 0
    monkeypatch.chdir('/')
    assert main(['up', '--resume', str(tmp_path / 'run')]) == 0
    assert begun[0] == begun[1]
    _, config, _ = begun[0]
    assert config.robot == 'g1_07'
    assert config.recorder.spool == str(tmp_path / 'here')
