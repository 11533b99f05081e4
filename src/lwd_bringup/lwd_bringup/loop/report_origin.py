# SPDX-License-Identifier: Apache-2.0
"""What a run's report says of where its policies come from; each returns HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lwd_bringup.loop import charts
from lwd_bringup.loop.charts import Line
from lwd_bringup.loop.folder import Run
from lwd_bringup.loop.markup import hashed, note, table

_PANELS = (
    ('losses of the critic', ('loss/value', 'loss/q')),
    ('losses of the actor', ('loss/actor', 'loss/imitation', 'loss/bc')),
    ('what V and Q say', ('value/mean', 'value/q', 'value/target', 'value/bootstrap')),
    ('KL from the reference, nats', ('actor/kl',)),
    ('entropy of the value, tau', ('value/entropy', 'value/tau')),
    ('norms of gradients', ('grad/critic', 'grad/actor')))
_DATA = 'data/'
_MIXTURE = (('origin', 'origin'), ('task', 'task'), ('in control', 'source'),
            ('outcome', 'outcome'))


def learner(run: Run) -> str:
    """Return the curves of the learner."""
    rows = [row for row in run.metrics if row.get('phase') not in ('data', 'gate')]
    if not rows:
        return ''
    drawn = []
    for title, names in _PANELS:
        some: list[Line] = []
        for name in names:
            points = [(float(row['step']), float(row[name])) for row in rows if name in row]
            if points:
                some.append(Line(name.split('/', 1)[1], points,
                                 charts.COLOURS[len(some) % len(charts.COLOURS)]))
        if some:
            drawn.append(f'<div><h3>{title}</h3>'
                         + charts.lines(some, x='update', width=420, height=190) + '</div>')
    fact = run.history.fact.learner
    said = (f'{fact.algorithm or "the learner"}: {fact.update:,} updates, {fact.publications:,} '
            f'publications; the last snapshot held {fact.episodes:,} episodes, '
            f'{fact.windows:,} windows.')
    return '<div class="grid2">' + ''.join(drawn) + '</div>' + note(said)


def mixture(run: Run) -> str:
    """Return the mixture of the learner's data, at its last look and over the rounds."""
    rows = [row for row in run.metrics if row.get('phase') == 'data']
    if not rows:
        return ''
    newest = rows[-1]
    bars = []
    for title, key in _MIXTURE:
        found = _group(newest, key)
        if found:
            bars.append((title, found))
    drawn = charts.shares(bars, width=860)
    said = (f'Windows that the learner could draw in its last round: '
            f'{newest.get("data/windows", 0):,.0f} of {newest.get("data/episodes", 0):,.0f} '
            'episodes.')
    if 'data/staleness' in newest:
        said += (f' Since a window of the fleet was recorded, '
                 f'{newest["data/staleness"]:.1f} newer policies were deployed in the mean.')
    online = Line('online', [(number, float(row.get('data/origin/online', 0)))
                             for number, row in enumerate(rows, 1)], charts.ORANGE)
    offline = Line('offline', [(number, float(row.get('data/origin/offline', 0)))
                               for number, row in enumerate(rows, 1)], charts.GREY)
    growth = '' if len(rows) < 2 else charts.lines(
        [online, offline], x='round of the learner', y='windows', width=860, height=190)
    labels = Counter(each.label for each in run.history.fact.episodes)
    fleet = ', '.join(f'{count} {label}' for label, count in labels.most_common())
    return drawn + note(said) + growth + (note(f"The fleet's own episodes: {fleet}.")
                                          if fleet else '')


def _group(row: Mapping[str, Any], key: str) -> list[tuple[str, float]]:
    begin = f'{_DATA}{key}/'
    found = [(name.removeprefix(begin), float(value))
             for name, value in row.items() if name.startswith(begin)]
    return sorted((each for each in found if each[1] > 0), key=lambda each: -each[1])


def lineage(run: Run) -> str:
    """Return the published policies: from which parent, on which data, running since when."""
    if not run.lineage:
        return ''
    facts = {policy.version: policy for policy in run.history.fact.policies}
    rows = []
    for one in run.lineage:
        published = one.publication
        fact = facts.get(published.version)
        running = '' if fact is None else ', '.join(
            f'{name} {moment / 60:.2f}' for name, moment in sorted(fact.running.items()))
        rows.append((
            published.number, hashed(published.version), hashed(one.parent), one.algorithm,
            published.update, hashed(published.snapshot),
            '' if fact is None else f'{fact.published / 60:.2f}', running, one.created))
    return table(('number', 'version', 'parent', 'algorithm', 'update', 'snapshot',
                  'published, min', 'runs since, min', 'made'), rows) + note(
        'Everything behind a version: lwd lineage VERSION --published '
        f'{run.folder}/learner/published --store {run.folder}/store --episodes')


def configuration(run: Run) -> str:
    """Return the plan and the settings that replace defaults."""
    content = asdict(run.plan)
    rows = [(name, ', '.join(value) if isinstance(value, tuple) else value)
            for name, value in content.items() if name != 'settings']
    rows += sorted(content['settings'].items())
    return table(('setting', 'value'), [(name, str(value)) for name, value in rows]) + note(
        'Everything else as lwd config fleet tells it, of the version below.')


def versions(run: Run) -> str:
    """Return the software and the machine of each start."""
    if not run.versions:
        return ''
    names = list(dict.fromkeys(name for one in run.versions for name in one))
    starts = [f'start {number}' for number in range(1, len(run.versions) + 1)]
    return table(('', *starts), [
        (name, *(one.get(name, '') for one in run.versions)) for name in names])
