# SPDX-License-Identifier: Apache-2.0
"""`lwd bench` without training anything: plans, reports, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from g1_sim.tasks import TASKS
from lwd_bringup.cli import main
from lwd_bringup.commands.bench import find_protocol
from lwd_rollout.table.graph import jobs
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.methods import METHODS, chosen
from lwd_rollout.table.protocol import TableProtocol, load


def _said(capsys):
    return ' '.join(capsys.readouterr().out.split())


def test_the_shipped_protocol_says_what_the_defaults_are():
    """But for where it runs: what docs and code say of the table must not drift apart."""
    file = find_protocol('table')
    content = yaml.safe_load(file.read_text())
    protocol, default = load(file), TableProtocol()
    for name in ('tasks', 'methods', 'seeds', 'pool', 'budget', 'online', 'testing', 'branching'):
        assert name in content
        assert getattr(protocol, name) == getattr(default, name)
    assert set(protocol.task_names) == set(TASKS)
    assert len(chosen(protocol.methods)) == len(METHODS)


def test_the_quick_protocol_is_four_tasks_and_one_seed():
    protocol = load(find_protocol('table_quick'))
    assert len(protocol.tasks) == 4
    assert protocol.seeds == 1
    assert {'lwd_online', 'hg_dagger', 'recap', 'filtered_self', 'shuffled'} <= set(
        protocol.methods)
    # A method that was forgotten would be trained all the same.
    assert {method.name for method in chosen(protocol.methods)} - set(protocol.methods) == {
        'recap_offline'}


def test_a_plan_lists_the_jobs_that_are_left(tmp_path, capsys):
    words = ['bench', 'table', '--quick', '--plan', '--dir', str(tmp_path), '--processes', '2']
    assert main(words) == 0
    out = capsys.readouterr().out
    protocol = load(find_protocol('table_quick'))
    count = len(jobs(protocol))
    assert f'{count} jobs, about ' in out
    assert 'train lwd_online-0: ' in out
    # It has touched nothing.
    assert list(tmp_path.iterdir()) == []
    layout = Layout(tmp_path, protocol)
    layout.write(layout.cell('sft', 0) / 'trained.json', {})
    assert main(words) == 0
    out = capsys.readouterr().out
    assert f'{count - 1} jobs, about ' in out
    assert 'train sft-0: ' not in out


def test_a_report_is_written_of_what_is_there(tmp_path, capsys):
    words = ['bench', 'table', '--report', '--dir', str(tmp_path), '--set', 'tasks=[restock]',
             'seeds=1', 'methods=[sft]', 'testing.noises=[1.0]', 'testing.best_of=[1]']
    assert main(words) == 2
    assert 'nothing was tested yet' in _said(capsys)
    layout = Layout(tmp_path, load(find_protocol('table'), {
        'tasks': ['restock'], 'seeds': 1, 'methods': ['sft'], 'testing.noises': [1.0],
        'testing.best_of': [1]}))
    layout.write(layout.scores('sft', 0, 'restock', 1.0, 1), {'episodes': [
        {'score': 1.0, 'success': True, 'seconds': 4.0, 'subtasks': [1.0]}]})
    assert main(words) == 0
    assert 'SFT: 1.000 (1.000 to 1.000)' in _said(capsys)
    assert '| SFT | 1.00 / 0.70 |' in (tmp_path / 'table.md').read_text()
    # Another protocol in the same folder.
    assert main([*words[:-1], 'testing.best_of=[1,2]']) == 2
    assert 'was begun with another protocol (protocol.testing.best_of [1], not [1, 2])' in _said(
        capsys)


def test_training_seeds_are_added_to_a_comparison_that_is_there(tmp_path, capsys):
    words = ['bench', 'table', '--dir', str(tmp_path), '--set', 'tasks=[restock]', 'seeds=1',
             'methods=[sft_long]', 'testing.noises=[1.0]', 'testing.best_of=[1]']
    layout = Layout(tmp_path, load(find_protocol('table'), {
        'tasks': ['restock'], 'seeds': 1, 'methods': ['sft_long'], 'testing.noises': [1.0],
        'testing.best_of': [1]}))
    layout.freeze()
    for seed in (0, 1, 2):
        layout.write(layout.scores('sft_long', seed, 'restock', 1.0, 1), {'episodes': [
            {'score': seed / 2, 'success': True, 'seconds': 4.0, 'subtasks': [1.0]}]})
    assert main([*words, '--report']) == 0
    assert 'equally long: 0.000 (' in _said(capsys)
    more = ['--more-seeds', '2', '--methods', 'sft_long']
    assert main([*words, *more, '--plan']) == 0
    assert 'train sft_long-1: ' in capsys.readouterr().out
    assert layout.seeds == 1
    assert main([*words, *more, '--report']) == 0
    assert 'equally long: 0.250 (' in _said(capsys)
    # They stay, without being asked for again, and the hash is that of what was planned.
    assert main([*words, '--report']) == 0
    assert 'equally long: 0.250 (' in _said(capsys)
    text = (tmp_path / 'table.md').read_text()
    assert layout.sha256[:12] in text
    assert '1 training seed, ' in text
    assert '**1 more training seed was added later** (sft_long).' in text
    for wrong, why in (
            (['--more-seeds', '1'], '1 training seeds are asked for, where 2 are there'),
            (['--more-seeds', '3', '--methods', 'sft'], 'sft: not among the methods of this'),
            (['--more-seeds', '3', '--methods', 'stf'], "unknown method 'stf'"),
            (['--methods', 'sft_long'], 'give --more-seeds, too')):
        assert main([*words, '--report', *wrong]) == 2
        assert why in _said(capsys)
    assert layout.seeds == 2


@pytest.mark.parametrize(('words', 'text'), [
    (['table', 'tabel'], "there is no protocol 'tabel'; the shipped ones are table and"),
    (['table', 'nowhere.yaml'], 'nowhere.yaml cannot be read as a protocol'),
    (['table', '--set', 'sed=3'], "unknown parameter 'sed'; did you mean 'seeds'"),
    (['table', '--set', 'methods=[lwd_ofline]', '--plan'],
     "unknown method 'lwd_ofline'; did you mean"),
    (['table', '--processes', '-1'], '--processes is -1; 0 takes one a core'),
    (['scaling', 'nowhere'], 'holds no comparison: there is no protocol.json'),
    (['scaling', 'nowhere', '--robots', 'two'], "--robots is 'two'; give numbers"),
])
def test_bad_input_ends_with_status_2_and_says_why(words, text, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(['bench', *words]) == 2
    assert text in _said(capsys)
    assert list(tmp_path.iterdir()) == []


def test_scaling_needs_a_trained_cell(tmp_path, capsys):
    layout = Layout(tmp_path, load(find_protocol('table')))
    layout.freeze()
    assert main(['bench', 'scaling', str(tmp_path), '--set', 'target=1.5']) == 2
    assert 'target is 1.5; it must be in 0.0 .. 1.0' in _said(capsys)
    assert main(['bench', 'scaling', str(tmp_path)]) == 2
    assert 'fleets begin from that cell; train it first' in _said(capsys)
    assert json.loads((Path(tmp_path) / 'protocol.json').read_text())['sha256'] == layout.sha256
