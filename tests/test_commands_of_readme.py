# SPDX-License-Identifier: Apache-2.0
"""The commands that README and docs show exist, with the arguments that they show.

Every `./lwd` command is parsed as typed. Those that look and tell are run; of those that start
nodes, the configuration is loaded and the nodes are listed, as for `ros2 launch`. What needs a
robot, a fleet or hours (demo, train, eval, pool, policy, episode, ...) is parsed here and run by
the tests of its own.
"""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from lwd_bringup.cli import main
from lwd_bringup.config import load, parse_value
from lwd_bringup.nodes import plan

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md')),
         ROOT / 'docker' / 'README.md']
COMMAND = re.compile(r'\./lwd ([a-z][^`#\n|]*)')
LAUNCH = re.compile(r'ros2 launch (launch/[\w.]+)([^`#\n|]*)')
TELLING = ('tasks', 'layout', 'nodes', 'config', 'keys')


def found(pattern):
    """Return what a pattern finds in all texts."""
    return sorted({match for file in TEXTS
                   for match in pattern.findall(file.read_text(encoding='utf-8'))})


def commands():
    return sorted({line.strip().rstrip('.,;)(') for line in found(COMMAND)})


def test_there_are_commands():
    assert len(commands()) > 40
    assert len(found(LAUNCH)) > 5


@pytest.mark.parametrize('command', commands())
def test_a_command_is_understood(command, monkeypatch, tmp_path):
    """Parsed as typed; what it would run is replaced by a note of having been reached."""
    reached = []

    def parse(self, arguments=None, namespace=None):
        options = original(self, arguments, namespace)
        if hasattr(options, 'run'):
            options.run = lambda *_: reached.append(options) or 0
        return options

    original = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    if words[-1].startswith('--help'):
        with pytest.raises(SystemExit, match='0'):
            main(words)
        return
    assert main(words) == 0
    assert len(reached) == 1


@pytest.mark.parametrize(
    'command', [one for one in commands() if one.partition(' ')[0] in TELLING])
def test_a_command_that_tells_is_run(command, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize('command', [
    one for one in commands() if one.startswith('up ') and '--resume' not in one])
def test_what_a_command_starts_can_be_started(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = [word for word in shlex.split(command)[1:] if word != '--help']
    if '--dir' in words:
        del words[words.index('--dir'):words.index('--dir') + 2]
    name, *settings = words
    assert plan(load(name, {key: parse_value(value) for key, _, value in (
        word.partition('=') for word in settings)}))


@pytest.mark.parametrize(('file', 'arguments'), found(LAUNCH))
def test_what_a_launch_file_starts_can_be_started(file, arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert (ROOT / file).is_file()
    name = Path(file).name.removesuffix('.launch.py')
    given = {key: parse_value(value) for key, value in
             (word.split(':=', 1) for word in shlex.split(arguments) if ':=' in word)}
    if name == 'fleet':
        given.setdefault('policy', 'policies/default/policy')
    assert plan(load(name, given))


def test_the_targets_of_make_and_the_benchmarks_are_there():
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    targets = set(re.findall(r'^([a-z]+):', makefile, re.MULTILINE))
    named = {word for line in found(re.compile(r'(?:`|^)make ([a-z ]+)', re.MULTILINE))
             for word in line.split()}
    assert {'demo', 'setup', 'test', 'bench'} <= named
    assert named <= targets
    benchmarks = set(found(re.compile(r'make bench NAME=(\w+)')))
    assert len(benchmarks) > 10
    assert {name for name in benchmarks
            if not (ROOT / 'benchmarks' / f'{name}.py').is_file()} == set()


def test_the_files_that_the_docs_name_exist():
    for file in TEXTS:
        for link in re.findall(r'\]\(([^)#:]+)\)', file.read_text(encoding='utf-8')):
            assert (file.parent / link).exists(), (file.name, link)
