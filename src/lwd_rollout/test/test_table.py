# SPDX-License-Identifier: Apache-2.0
"""The comparison of methods: protocol, graph, settings, results. No cell is trained here."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from small_table import SMALL

from g1_sim import tasks
from lwd_learner.algorithms.base import Facts
from lwd_learner.engine import Engine
from lwd_learner.training import make_algorithm
from lwd_rollout.errors import TableError
from lwd_rollout.ranking import Branch
from lwd_rollout.statistics import crossed_bootstrap, restricted_mean
from lwd_rollout.table import output, paper
from lwd_rollout.table.analysis import calibration
from lwd_rollout.table.diagnostics import diagnostics
from lwd_rollout.table.estimate import Estimate, in_words
from lwd_rollout.table.extension import Extension
from lwd_rollout.table.graph import Job, check, jobs, urgency
from lwd_rollout.table.layout import Layout, digest, opened
from lwd_rollout.table.lines import Lines
from lwd_rollout.table.methods import METHODS, chosen, judges
from lwd_rollout.table.protocol import TableProtocol, Trials, load
from lwd_rollout.table.results import BASELINES, gather, variant
from lwd_rollout.table.settings import changed, of_cell

ALL = replace(SMALL, methods=(), seeds=2)


@pytest.mark.timeout(600)
def test_every_method_has_the_same_updates():
    """Offline all but the reference, and in each online round all of them."""
    for method in METHODS.values():
        config = of_cell(ALL, method, 0)
        algorithm = make_algorithm(config, Engine(config.engine))
        human = {'corrections': 50, 'rescues': 50}
        facts = Facts({'restock': 7.5}, human, config.lwd.td)
        # RECAP's measuring of advantages changes no weight.
        updates = {
            stage: sum(phase.updates for phase in algorithm.phases(stage, facts)
                       if not phase.name.startswith('advantages'))
            for stage in ('offline', 'online')}
        offline = ALL.budget.reference if method.alone else ALL.budget.offline
        assert updates['offline'] == offline, method.name
        if method.stage == 'online':
            assert updates['online'] == ALL.budget.round, method.name


def test_a_methods_settings_are_what_its_title_says():
    configs = {name: of_cell(ALL, method, 3) for name, method in METHODS.items()}
    assert all(config.seed == 3 for config in configs.values())
    assert configs['n1_offline'].lwd.td.fixed_n == 1
    settled = configs['settled_offline'].lwd
    assert 0 < settled.critic_updates < settled.settle_updates
    assert configs['lwd_offline'].lwd.settle_updates == 0
    assert configs['constant_tau_online'].lwd.value.divl.alpha == 0.0
    assert configs['lwd_online'].lwd.value.divl.alpha > 0.0
    assert configs['lwd_online'].lwd.reference == 'frozen'
    assert configs['lwd_refreshed'].lwd.reference == 'refreshed'
    assert configs['reference_path'].lwd.qam.path == 'reference'
    assert configs['plain_actions'].lwd.value.critic.encoding == 'plain'
    assert configs['shuffled'].lwd.value.shuffle_outcomes
    assert not any(config.lwd.value.shuffle_outcomes
                   for name, config in configs.items() if name != 'shuffled')
    assert not METHODS['no_interventions'].operator


def test_settings_that_are_none_are_refused():
    with pytest.raises(TableError, match="did you mean 'lwd'"):
        changed(SMALL.train, 'lwdd.td.fixed_n', 1)
    with pytest.raises(TableError, match='it has settings of its own: gamma'):
        changed(SMALL.train, 'lwd.td', 1)
    with pytest.raises(TableError, match='is no setting'):
        changed(SMALL.train, 'lwd.reference.often', 1)


def test_online_methods_begin_from_what_was_trained_offline():
    for method in METHODS.values():
        if method.stage == 'online':
            assert METHODS[method.after].stage == 'offline'
        if method.data_of:
            assert METHODS[method.data_of].stage == 'online'
            assert not METHODS[method.data_of].data_of
        assert METHODS[method.judge].has_critic
        assert METHODS[method.judge].stage == method.stage
    assert set(BASELINES) < set(METHODS)
    assert {method.group for method in METHODS.values()} == {'method', 'ablation', 'control'}


def test_methods_bring_those_that_they_need():
    names = [method.name for method in chosen(['filtered_same'])]
    assert names == ['sft', 'lwd_offline', 'lwd_online', 'sft_long', 'filtered_same']
    assert [method.name for method in judges(chosen(['hg_dagger']))] == [
        'sft', 'hg_dagger', 'lwd_offline', 'lwd_online', 'sft_long']
    with pytest.raises(TableError, match="unknown method 'lwd_ofline'; did you mean"):
        chosen(['lwd_ofline'])


def test_the_graph_has_every_cell_once_behind_what_it_needs():
    planned = jobs(ALL)
    check(planned)
    trained = [job for job in planned if job.kind == 'train']
    assert {(job.method, job.seed) for job in trained} == {
        (name, seed) for name in METHODS for seed in (0, 1)}
    scores = [job for job in planned if job.kind == 'score']
    assert len(scores) == len({job.name for job in scores}) == len(METHODS) * 2 * 2
    by_name = {job.name: job for job in planned}
    assert by_name['train filtered_same-1'].needs == ('train sft_long-1', 'train lwd_online-1')
    assert by_name['score hg_dagger-0 restock noise 1 best of 2'].needs == (
        'train hg_dagger-0', 'train lwd_online-0')
    assert by_name['score hg_dagger-0 restock noise 1 best of 1'].needs == ('train hg_dagger-0',)
    assert by_name['judge shuffled-0'].needs == ('branch sft-0', 'train shuffled-0')
    assert {job.method for job in planned if job.kind == 'judge'} == {
        name for name, method in METHODS.items() if method.has_critic}
    assert [job.name for job in planned if job.kind == 'branch'] == [
        'branch sft-0', 'branch sft-1']


def test_added_seeds_have_the_methods_that_are_named_and_what_these_need():
    planned, protocol = jobs(SMALL), replace(SMALL, testing=replace(SMALL.testing, best_of=(1,)))
    more = jobs(protocol, Extension(3, ('lwd_offline',)))
    assert {(job.method, job.seed) for job in more if job.kind == 'train' and job.seed} == {
        (name, seed) for name in ('sft', 'lwd_offline') for seed in (1, 2)}
    assert [job for job in more if not job.seed] == jobs(protocol)
    assert jobs(SMALL, Extension()) == planned
    with pytest.raises(TableError, match='lwd_offline: have 3 seeds already; name them, too'):
        Extension(4, ('sft',)).check(protocol, Extension(3, ('lwd_offline',)))
    Extension(4).check(protocol, Extension(3, ('lwd_offline',)))


def test_a_critic_that_only_chooses_is_trained_but_not_tested():
    planned = jobs(replace(SMALL, methods=('hg_dagger',)))
    assert 'train lwd_online-0' in {job.name for job in planned}
    assert 'lwd_online' not in {job.method for job in planned if job.kind == 'score'}
    plain = jobs(replace(SMALL, methods=('hg_dagger',),
                         testing=replace(SMALL.testing, best_of=(1,))))
    assert {job.method for job in plain} == {'sft_long', 'hg_dagger'}


def test_a_graph_that_could_never_run_is_refused():
    one, two = Job('train', 'sft', 0), Job('train', 'lwd_offline', 0, needs=('train sft-0',))
    check([one, two])
    with pytest.raises(TableError, match='does not come before it'):
        check([two, one])
    with pytest.raises(TableError, match='two jobs are called'):
        check([one, one])


def test_the_longest_chain_is_most_urgent():
    planned = [Job('train', 'a', 0), Job('train', 'b', 0),
               Job('train', 'c', 0, needs=('train b-0',))]
    chains = urgency(planned, {'train a-0': 5.0, 'train b-0': 1.0, 'train c-0': 6.0})
    assert chains == {'train a-0': 5.0, 'train b-0': 7.0, 'train c-0': 6.0}


def test_the_time_left_goes_by_what_was_measured(tmp_path):
    work = Job('score', 'sft', 0, 'restock', work={'episodes restock': 10.0})
    estimate = Estimate(tmp_path / 'seconds.json')
    guess = estimate.seconds(work)
    assert 0.0 < guess < 10.0 * tasks.get('restock').time_limit
    estimate.add({'episodes restock': [4.0, 12.0]})
    again = Estimate(tmp_path / 'seconds.json')
    assert again.seconds(work) == pytest.approx(30.0)
    assert again.left([work, work], 2) == pytest.approx(30.0)
    (tmp_path / 'seconds.json').write_text('{"a"')
    assert Estimate(tmp_path / 'seconds.json').seconds(work) == guess
    assert [in_words(value) for value in (59.0, 600.0, 9000.0)] == ['59 s', '10 min', '2.5 h']


def test_a_protocol_is_read_and_bad_ones_are_refused(tmp_path):
    file = tmp_path / 'table.yaml'
    file.write_text('tasks: [restock]\nseeds: 2\ntrain:\n  policy:\n    token_width: 64\n')
    protocol = load(file, {'testing.episodes': 7})
    assert protocol == replace(
        TableProtocol(tasks=('restock',), seeds=2), testing=Trials(episodes=7),
        train=changed(TableProtocol().train, 'policy.token_width', 64))
    for text, message in (
            ('sed: 3', "unknown parameter 'sed'; did you mean 'seeds'"),
            ('seeds: 0', 'seeds is 0; it must be in 1'),
            ('tasks: [restok]', "did you mean 'restock'"),
            ('budget: {actor: 0}', 'budget.actor is 0'),
            ('online: {rounds: 0}', 'online.rounds is 0'),
            ('testing: {split: pool}', 'is for training'),
            ('testing: {split: tst}', "did you mean 'test'"),
            ('testing: {distribution: wild}', "testing.distribution is 'wild'"),
            ('testing: {noises: []}', 'give at least one'),
            ('testing: {best_of: [0]}', 'each 1 or more'),
            ('branching: {chunks: 1}', 'ranking needs 2'),
            ('train: {lwd: {reference: often}}', "lwd.reference is 'often'"),
            ('- a', 'holds a list'), ('a: [', 'cannot be read')):
        file.write_text(text)
        with pytest.raises(TableError, match=message.replace('[', r'\[')):
            load(file)


def test_results_of_different_protocols_do_not_mix(tmp_path):
    one, other = Layout(tmp_path, SMALL), Layout(tmp_path, replace(
        SMALL, budget=replace(SMALL.budget, actor=3)))
    one.freeze()
    one.freeze()
    with pytest.raises(TableError, match=r'protocol.budget.actor 2, not 3'):
        other.freeze()
    file = tmp_path / 'cells' / 'sft-0' / 'trained.json'
    one.write(file, {'method': 'sft'})
    assert one.read(file)['method'] == 'sft'
    with pytest.raises(TableError, match='results of different protocols cannot stand'):
        other.read(file)
    file.write_text('{"protocol"')
    with pytest.raises(TableError, match='is damaged'):
        one.read(file)
    assert one.read(file.with_name('none.json')) is None
    assert digest(SMALL) != digest(replace(SMALL, methods=('sft',)))


def test_a_comparison_is_opened_as_it_was_begun(tmp_path):
    layout = Layout(tmp_path / 'run', SMALL, tmp_path / 'pool')
    layout.freeze()
    assert opened(tmp_path / 'run') == layout
    with pytest.raises(TableError, match=r'was begun with the pool .*/pool, not with one in it'):
        Layout(tmp_path / 'run', SMALL).freeze()
    with pytest.raises(TableError, match='holds no comparison'):
        opened(tmp_path)
    (tmp_path / 'run' / 'protocol.json').write_text('{"protocol": {"sed": 1}}')
    with pytest.raises(TableError, match="did you mean 'seeds'"):
        opened(tmp_path / 'run')


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'cells').mkdir()
    with pytest.raises(TableError, match=r'holds cells, but no protocol.json'):
        Layout(tmp_path, SMALL).freeze()
    with (Layout(tmp_path, SMALL).locked(),
          pytest.raises(TableError, match='another process works in'),
          Layout(tmp_path, SMALL).locked()):
        pass
    with Layout(tmp_path, SMALL).locked():
        pass


def test_a_line_that_a_kill_cut_short_is_taken_away(tmp_path):
    lines = Lines(tmp_path / 'rows.jsonl')
    lines.add({'a': 1})
    lines.add({'a': 2})
    with (tmp_path / 'rows.jsonl').open('a') as file:
        file.write('{"a": 3')
    again = Lines(tmp_path / 'rows.jsonl')
    assert again.rows == [{'a': 1}, {'a': 2}]
    again.add({'a': 4})
    assert Lines(tmp_path / 'rows.jsonl').rows == [{'a': 1}, {'a': 2}, {'a': 4}]


def test_the_interval_has_the_spread_of_seeds_and_of_scenes():
    rng = np.random.default_rng(0)
    same = np.full((2, 3, 10), 0.4)
    assert crossed_bootstrap(same) == pytest.approx((0.4, 0.4))
    # All of the variance between seeds: episodes, however many, do not make it smaller.
    between = np.broadcast_to(rng.normal(0.5, 0.1, (1, 20, 1)), (2, 20, 500))
    low, high = crossed_bootstrap(between)
    assert (high - low) / 2.0 == pytest.approx(
        1.96 * between[0, :, 0].std() / np.sqrt(20), rel=0.15)
    # All of it between scenes, the same for every seed: seeds do not make it smaller.
    within = np.broadcast_to(rng.normal(0.5, 0.1, (1, 1, 100)), (1, 50, 100))
    low, high = crossed_bootstrap(within)
    assert (high - low) / 2.0 == pytest.approx(1.96 * within[0, 0].std() / 10.0, rel=0.15)
    assert np.isnan(crossed_bootstrap(np.zeros((0, 0, 0)))).all()


def test_time_to_success_is_kaplan_and_meiers():
    # All succeed: the plain mean. None does: the limit.
    assert restricted_mean([2.0, 4.0], [True, True], 10.0) == pytest.approx(3.0)
    assert restricted_mean([10.0, 10.0], [False, False], 10.0) == 10.0
    # Censored at the limit: the mean of the smaller of both.
    assert restricted_mean([2.0, 10.0], [True, False], 10.0) == pytest.approx(6.0)
    # Freireich et al. 1963, 6-MP: remission of 21 children; the curve is a textbook's, and the
    # area under it up to 23 weeks is 17.909 (R's survfit with rmean = 23).
    weeks = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    relapsed = [True, True, True, False, True, False, True, False, False, True, True, False,
                False, False, True, True, False, False, False, False, False]
    expected = (6.0 + 0.857143 + 3 * 0.806723 + 3 * 0.752941 + 3 * 0.690196
                + 6 * 0.627451 + 0.537815)
    assert restricted_mean([float(week) for week in weeks], relapsed, 23.0) == pytest.approx(
        expected, abs=1e-4)


def test_the_calibration_of_v_is_over_states():
    rng = np.random.default_rng(0)
    branches = []
    for state in range(400):
        v = rng.uniform(0.1, 0.9)
        branches += [Branch('t', state, chunk, 0.0, 0.0, v, float(rng.random() < v))
                     for chunk in range(6)]
    found = calibration(branches)
    assert found['v_slope'] == pytest.approx(1.0, abs=0.1)
    assert found['v_error'] < 0.03
    high = calibration([replace(one, v=one.v + 0.2) for one in branches])
    assert high['v_error'] == pytest.approx(0.2, abs=0.03)
    assert np.isnan(calibration([])['v_error'])


def test_diagnostics_are_of_the_end_and_taus_range_of_all():
    rows = [{'actor/kl': float(i), 'value/tau_min': 0.4 + 0.01 * i,
             'value/tau_max': 0.5 + 0.01 * i} for i in range(10)]
    assert diagnostics(rows) == pytest.approx({
        'actor/kl': 7.0, 'value/tau_min': 0.4, 'value/tau_max': 0.59})


def _results(layout, scores):
    """Write the files of cells that were tested, from scores by (method, seed)."""
    for (name, seed), values in scores.items():
        layout.write(layout.cell(name, seed) / 'trained.json', {
            'method': name, 'seed': seed, 'snapshot': 'f00d', 'code': 'c0de', 'updates': 8,
            'version': 'v', 'diagnostics': {}, 'rounds': []})
        for best_of in (1, 2):
            layout.write(layout.scores(name, seed, 'restock', 1.0, best_of), {'episodes': [
                {'score': value, 'success': value == 1.0, 'seconds': 5.0, 'subtasks': [value]}
                for value in values]})


def test_results_are_means_paired_differences_and_times(tmp_path):
    layout = Layout(tmp_path, replace(SMALL, seeds=2))
    _results(layout, {('sft', 0): [0.0, 1.0], ('sft', 1): [0.0, 1.0],
                      ('lwd_offline', 0): [1.0, 1.0], ('lwd_offline', 1): [0.0, 1.0],
                      ('lwd_online', 0): [1.0, 1.0]})
    found = output.write(layout)
    methods = found['variants'][variant(1.0, 1)]
    assert list(methods) == ['sft', 'lwd_offline', 'lwd_online']
    assert methods['sft']['mean']['mean'] == 0.5
    assert methods['lwd_offline']['against']['sft']['mean'] == pytest.approx(0.25)
    # One seed only was tested: it is compared with the same seed of the other.
    assert methods['lwd_online']['seeds'] == [0]
    assert methods['lwd_online']['against']['sft'] == {
        'mean': 0.5, 'low': pytest.approx(0.0), 'high': pytest.approx(1.0)}
    assert methods['sft']['cycle']['restock'] == pytest.approx(
        (5.0 + tasks.get('restock').time_limit) / 2.0)
    text = (tmp_path / 'table.md').read_text()
    assert f'| SFT | 0.50 / {paper.SCORES["sft"]["restock"]:.2f} |' in text
    assert '+0.25 (' in text
    assert (tmp_path / 'table.png').stat().st_size > 5000
    assert json.loads((tmp_path / 'results.json').read_text())['protocol'] == layout.sha256


def test_cells_of_different_data_do_not_mix(tmp_path):
    layout = Layout(tmp_path, SMALL)
    _results(layout, {('sft', 0): [0.0], ('lwd_offline', 0): [1.0]})
    file = layout.cell('sft', 0) / 'trained.json'
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {'snapshot': 'beef'}))
    with pytest.raises(TableError, match='trained on different offline data'):
        gather(layout)


def test_nothing_is_drawn_of_nothing(tmp_path):
    with pytest.raises(TableError, match='nothing was tested yet'):
        output.write(Layout(tmp_path, SMALL))


def test_the_papers_means_are_those_it_states():
    everything = tuple(paper.SCORES['sft'])
    # As published; two of them are not the rounded means of the published row.
    assert {name: paper.mean(name, everything) for name in paper.SCORES} == pytest.approx({
        'sft': 0.76, 'recap': 0.85, 'hg_dagger': 0.85, 'lwd_offline': 0.88, 'lwd_online': 0.95,
    }, abs=0.01)
    long = ('tea', 'juice', 'cocktail', 'shoebox')
    assert paper.mean('lwd_online', long) == pytest.approx(0.91, abs=0.005)
    assert paper.mean('shuffled', everything) is None
    assert paper.mean('sft', ('origami',)) is None
