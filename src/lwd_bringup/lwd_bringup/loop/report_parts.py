# SPDX-License-Identifier: Apache-2.0
"""What a run's report says of the fleet; each returns HTML, empty if there is nothing to say."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from lwd_bringup.loop import charts
from lwd_bringup.loop.charts import Interval, Line
from lwd_bringup.loop.comparison import Result
from lwd_bringup.loop.curve import DISCARD, WINDOW, learning_curve, rate
from lwd_bringup.loop.folder import Run
from lwd_bringup.loop.markup import duration, hashed, note, table, text
from lwd_bringup.loop.state import quantile
from lwd_rollout.statistics import wilson

_VERSIONS_SHOWN = 24
"""More policies than so many make a long list: then every second, third, ... is named."""


def head(run: Run, name: str) -> str:
    """Return the title and the figures that matter."""
    fact, plan = run.history.fact, run.plan
    lead = (f'{plan.robots} simulated robots, {plan.minutes:g} minutes of deployment planned, '
            f'tasks {", ".join(plan.tasks)}; seed {plan.seed}, {plan.split} scenes')
    if finished := run.summary.get('finished'):
        lead += f'; finished {finished}'
    tiles = []
    if found := run.comparison:
        tiles.append((f'{found.first:.2f} → {found.last:.2f}',
                      f'success on {found.episodes} held-out scenes, first and last policy'))
        tiles.append((f'{found.gain:+.2f}',
                      f'difference; 95 %: {found.gain_low:+.2f} to {found.gain_high:+.2f}, '
                      f'McNemar p = {found.p_value:.2g}'))
    if run.history.starts:
        robots = fact.robots.values()
        steps = sum(robot.steps for robot in robots)
        starts = '' if run.history.starts == 1 else f' in {run.history.starts} starts'
        tiles += [
            (duration(fact.seconds), f'the fleet deployed and learned{starts}'),
            (f'{len(fact.episodes):,}', f'episodes, {steps:,} control steps'),
            (f'{sum(robot.interventions for robot in robots):,}', 'interventions of people'),
            (f'{max(len(fact.policies) - 1, 0):,}',
             f'policies learned and published, {fact.learner.update:,} updates'),
            (_seconds(run.history.upward), 'P50 from the end of an episode to the learner'),
            (_seconds(run.history.downward), 'P50 from a publication to a robot that runs it')]
    return (f'<h1>{text(name)}</h1><p class="lead">{text(lead)}</p><div class="tiles">' + ''.join(
        f'<div class="tile"><b>{text(value)}</b><span>{text(said)}</span></div>'
        for value, said in tiles) + '</div>')


def missing(run: Run) -> str:
    """Return what the run lacks."""
    if not run.missing:
        return ''
    return '<ul>' + ''.join(f'<li>{text(said)}</li>' for said in run.missing) + '</ul>'


def success(run: Run) -> str:
    """Return the learning curve of the fleet's own episodes, and the success by policy."""
    fact = run.history.fact
    if not fact.episodes:
        return note('no episode has ended yet')
    alone, helped = (learning_curve(fact.episodes, alone=each) for each in (True, False))
    marks = [(min(policy.running.values()) / 60, f'policy {policy.number} runs')
             for policy in fact.policies[1:] if policy.running]
    curve = charts.lines(
        [Line('with take-overs', [(each.seconds / 60, each.rate) for each in helped],
              charts.GREY),
         Line('without help', [(each.seconds / 60, each.rate) for each in alone],
              band=[(each.low, each.high) for each in alone])],
        x='minutes of deployment', y='success', span=(0.0, 1.0), marks=marks, begin=0.0,
        width=1060, height=260)
    return (curve + note(
        f'Success of the latest {WINDOW} episodes: with what people did, and without help '
        '(95 % interval, Wilson), where an episode that was taken over counts as failed. Upright '
        'lines: a new policy runs for the first time. Below, take-overs are included.')
        + '<div class="grid2"><div><h3>By policy that began the episode</h3>'
        + _by_policy(run) + '</div><div><h3>By task</h3>' + _by_task(run) + '</div></div>')


def _by_policy(run: Run) -> str:
    fact = run.history.fact
    every = max(1, -(-len(fact.policies) // _VERSIONS_SHOWN))
    rows = []
    for number in range(0, len(fact.policies), every):
        some = fact.policies[number:number + every]
        versions = {policy.version for policy in some}
        found = rate(each for each in fact.episodes
                     if each.versions and each.versions[0] in versions)
        if found.episodes:
            label = f'{some[0].number}' if every == 1 else f'{some[0].number}-{some[-1].number}'
            rows.append(Interval(label, found.value, found.low, found.high,
                                 note=f'{found.successes}/{found.episodes}'))
    return charts.intervals(rows, width=500) if rows else note('no policy drove an episode yet')


def _by_task(run: Run) -> str:
    episodes = run.history.fact.episodes
    rows = []
    for task in dict.fromkeys(each.task for each in episodes):
        found = rate(each for each in episodes if each.task == task)
        rows.append(Interval(task or 'not known', found.value, found.low, found.high,
                             note=f'{found.successes}/{found.episodes}'))
    return charts.intervals(rows, width=500)


def comparison(run: Run) -> str:
    """Return the evaluation of the first and the last policy."""
    if not run.first and not run.last:
        return ''
    rows = []
    for task in ('all', *run.plan.tasks):
        for which, results, colour in (('first', run.first, charts.GREY),
                                       ('last', run.last, charts.BLUE)):
            some = [each for each in results if task in ('all', each.task)]
            if some:
                rows.append(_evaluated(f'{task}, {which}', some, colour))
    said = 'Success with 95 % intervals (Wilson); at the right the median time to succeed, in s.'
    if found := run.comparison:
        said += (f' Of {found.episodes} scenes, {found.better} succeeded with the last policy '
                 f'only and {found.worse} with the first only: difference {found.gain:+.3f} '
                 f'(paired bootstrap, 95 %: {found.gain_low:+.3f} to {found.gain_high:+.3f}), '
                 f'exact McNemar p = {found.p_value:.3g}.')
    return charts.intervals(rows, width=860) + note(said)


def _evaluated(label: str, results: Sequence[Result], colour: str) -> Interval:
    wins = [each.seconds for each in results if each.success]
    middle = quantile(wins, 0.5)
    return Interval(
        label, len(wins) / len(results), *wilson(len(wins), len(results)), colour,
        f'{len(wins)}/{len(results)}' + ('' if middle is None else f', {middle:.1f} s'))


def films(run: Run) -> str:
    """Return the filmstrips of each task, first above last."""
    found = []
    for task in run.plan.tasks:
        for which in ('first', 'last'):
            if (task, which) in run.films:
                data = base64.b64encode(run.films[task, which].read_bytes()).decode()
                found.append(
                    f'<figure><figcaption>{text(task)}, {which} policy</figcaption><img '
                    f'alt="{text(task)}, {which} policy" src="data:image/png;base64,{data}">'
                    '</figure>')
    return ''.join(found)


def robots(run: Run) -> str:
    """Return what each robot did."""
    found = run.history.fact.robots.values()
    if not found:
        return ''
    return table(
        ('robot', 'episodes', 'successes', 'control steps', 'interventions', 'swaps', 'refused',
         'starved ticks', 'inference P50, ms', 'policy at the end'),
        [(each.name, each.episodes, each.successes, each.steps, each.interventions, each.swaps,
          each.refused, each.starved, round(1e3 * each.inference_p50, 2), hashed(each.version))
         for each in found])


def interventions(run: Run) -> str:
    """Return how much people helped, and which policies robots did not take."""
    fact = run.history.fact
    if not fact.episodes and not run.history.refusals:
        return ''
    ended = sorted((each for each in fact.episodes if each.label != DISCARD),
                   key=lambda each: each.ended)
    total, points = 0, []
    for each in ended:
        total += each.interventions
        points.append((each.ended / 60, float(total)))
    drawn = charts.lines([Line('', points, charts.MAGENTA)], x='minutes of deployment',
                         y='interventions, added up', begin=0.0,
                         span=(0.0, max(1.0, total)), width=1060, height=190)
    refused = note('No robot refused a policy.')
    if run.history.refusals:
        refused = '<h3>Refused policies</h3>' + table(
            ('minute', 'robot', 'why'),
            [(round(each.seconds / 60, 2), each.robot, each.reason)
             for each in run.history.refusals])
    return drawn + note('Those in episodes that have ended.') + refused


def latencies(run: Run) -> str:
    """Return how long episodes take to the learner and policies to the robots."""
    if not run.history.starts:
        return ''
    waiting = sum(each.sampleable < 0 for each in run.history.fact.episodes)
    up, down = run.history.upward, run.history.downward
    said = []
    if 'segments_registered' in run.summary:
        said.append(f'{run.summary["segments_registered"]:,} segments are in the store.')
    if waiting:
        said.append(f'Of {waiting} episodes it is not known that the learner could sample them '
                    'before the fleet was stopped.')
    return ('<div class="grid2"><div><h3>End of an episode until the learner can sample it</h3>'
            + charts.histogram(up, x='s', marks=_marks(up))
            + '</div><div><h3>Publication of a policy until a robot runs it</h3>'
            + charts.histogram(down, x='s', colour=charts.ORANGE, marks=_marks(down))
            + '</div></div>' + (note(' '.join(said)) if said else ''))


def _marks(values: list[float]) -> list[tuple[float, str]]:
    found = ((name, quantile(values, part)) for name, part in (('P50', 0.5), ('P99', 0.99)))
    return [(value, f'{name} {value:.2f} s') for name, value in found if value is not None]


def _seconds(values: list[float]) -> str:
    middle = quantile(values, 0.5)
    return '-' if middle is None else f'{middle:.2f} s'
