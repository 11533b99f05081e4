# SPDX-License-Identifier: Apache-2.0
"""The commands that README and docs show exist, with the arguments that they show."""

import re
import shlex
from pathlib import Path

import pytest

from lwd_bringup.cli import main

ROOT = Path(__file__).resolve().parents[1]
COMMAND = re.compile(r'\./lwd ([a-z][^`#\n|]*)')


def commands():
    found = set()
    for file in [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]:
        for line in COMMAND.findall(file.read_text(encoding='utf-8')):
            found.add(line.strip().rstrip('.,;)('))
    return sorted(found)


def test_there_are_commands():
    assert len(commands()) > 8


@pytest.mark.parametrize('command', commands())
def test_a_command_is_understood(command, monkeypatch, tmp_path):
    """Parsed as typed; what it would run is replaced by a note of having been reached."""
    reached = []

    def parse(self, arguments=None, namespace=None):
        options = original(self, arguments, namespace)
        if hasattr(options, 'run'):
            options.run = lambda *_: reached.append(options) or 0
        return options

    import argparse
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


def test_the_files_that_the_docs_name_exist():
    for file in [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').glob('*.md')]:
        for link in re.findall(r'\]\(([^)#:]+)\)', file.read_text(encoding='utf-8')):
            assert (file.parent / link).exists(), (file.name, link)
