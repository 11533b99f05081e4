# SPDX-License-Identifier: Apache-2.0
"""A comparison as Markdown: the table beside the paper's, differences, what critics know."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lwd_rollout.table import paper
from lwd_rollout.table.results import BASELINES

_GROUPS = {'method': 'Methods', 'ablation': 'Ablations', 'control': 'Controls'}


def markdown(found: Mapping[str, Any]) -> str:
    """Return the report of what `results.gather` found."""
    tasks = tuple(found['tasks'])
    updates = found['updates']
    lines = [
        f'# {found["name"]}', '',
        f'Protocol `{found["protocol"][:12]}`. One policy for all tasks; '
        f'{_seeds(found["seeds"])}, {found["episodes"]} scenes of each task, split '
        f'`{found["split"]}`, distribution `{found["distribution"]}`. Every method has '
        f'{updates["offline"]} updates offline (SFT: those of the reference) and '
        f'{updates["online"]} more online. Score, with '
        'the 95 % interval over training seeds and scenes; after the slash, what the paper '
        'reports of its robots.']
    if more := found['added']['seeds']:
        names = found['added']['methods']
        lines += ['', f'**{_seeds(more, "more ")} {"was" if more == 1 else "were"} added '
                  f'later** ({", ".join(names) if names else "all methods"}).']
    if len(found['codes']) > 1:
        lines += ['', f'**Cells were trained by {len(found["codes"])} versions of the code** '
                  f'({", ".join(found["codes"])}).']
    for name, methods in found['variants'].items():
        if methods:
            lines += ['', f'## {name[0].upper()}{name[1:]}', '', *_scores(methods, tasks),
                      '', *_differences(methods), '', *_cycles(methods, tasks)]
    first: Mapping[str, Any] = next(
        (methods for methods in found['variants'].values() if methods), {})
    lines += [*_subtasks(first, tasks), *_critics(found['critics']), *_cells(found['cells'])]
    return '\n'.join(lines) + '\n'


def _seeds(count: int, which: str = '') -> str:
    return f'{count} {which}training seed{"" if count == 1 else "s"}'


def _scores(methods: Mapping[str, Any], tasks: tuple[str, ...]) -> list[str]:
    has_long = any('long' in figures for figures in methods.values())
    header = ['method', *tasks, 'mean', *(['long tasks'] if has_long else []), 'seeds']
    rows = []
    for group, title in _GROUPS.items():
        chosen = {name: one for name, one in methods.items() if one['group'] == group}
        if chosen:
            rows.append([f'*{title}*', *[''] * (len(header) - 1)])
        for name, one in chosen.items():
            said = paper.SCORES.get(name, {})
            row = [one['title'], *(
                _beside(_number(one['tasks'][task]['mean']), said.get(task)) for task in tasks)]
            row.append(_beside(_interval(one['mean']), paper.mean(name, tasks)))
            if has_long:
                row.append(_beside(_interval(one['long']), paper.LONG.get(name)))
            rows.append([*row, str(len(one['seeds']))])
    return table(header, rows)


def _differences(methods: Mapping[str, Any]) -> list[str]:
    names = [name for name in BASELINES if name in methods]
    rows = [[one['title'], *(
        _interval(one['against'][name], signed=True) if name in one['against'] else ''
        for name in names)] for one in methods.values()]
    return ['Difference in the mean score from each baseline, on the same scenes:', '',
            *table(['method', *(methods[name]['title'] for name in names)], rows)]


def _cycles(methods: Mapping[str, Any], tasks: tuple[str, ...]) -> list[str]:
    rows = [[one['title'], *(f'{one["cycle"][task]:.1f}' for task in tasks)]
            for one in methods.values()]
    return ["Mean time to success, s, up to the task's limit, what did not succeed censored "
            'there:', '', *table(['method', *tasks], rows)]


def _subtasks(methods: Mapping[str, Any], tasks: tuple[str, ...]) -> list[str]:
    lines: list[str] = []
    for task in tasks:
        named: Mapping[str, float] = next(
            (one['subtasks'][task] for one in methods.values()), {})
        if len(named) < 2:
            continue
        lines += ['', f'## Subtasks of {task}', '', *table(['method', *named], [
            [one['title'], *(_number(score) for score in one['subtasks'][task].values())]
            for one in methods.values()])]
    return lines


def _critics(critics: Mapping[str, Any]) -> list[str]:
    if not critics:
        return []
    rows = [[name, *(_number(one[key]) for key in (
        'auc', 'correlation', 'slope', 'spread', 'v_slope', 'v_error')),
        f'{one["mixed"]:.0f} of {one["states"]:.0f}'] for name, one in critics.items()]
    return [
        '', '## Critics', '',
        "Several of the reference's chunks in one state, each followed by the reference: how Q "
        'ranks them (.5 is guessing), and its slope (1 is calibrated); over states, how V stands '
        'to success. Only states whose chunks had different outcomes tell anything of Q.', '',
        *table(['critic of', 'AUC within states', 'correlation', 'slope', 'spread of Q',
                'slope of V', 'error of V', 'states that tell'], rows)]


def _cells(cells: Mapping[str, Any]) -> list[str]:
    keys = ('actor/kl', 'actor/lambda', 'value/tau_min', 'value/tau', 'value/tau_max')
    rows = []
    for name, cell in cells.items():
        said, rounds = cell['diagnostics'], cell['rounds']
        shares = [one['operator_share'] for one in rounds]
        condition = cell.get('condition', {})
        rows.append([
            name, str(cell['updates']), *(_number(said.get(key), 3) for key in keys),
            f'{100.0 * sum(shares) / len(shares):.0f} %' if shares else '',
            ', '.join(_number(one['success']) for one in rounds),
            f'{condition["shift"]:.4f} of {condition["spread"]:.4f}' if condition else ''])
    if not rows:
        return []
    return [
        '', '## Cells', '',
        'The realised KL from the reference (nats) and lambda at the end, the range of tau, what '
        'the operator did of the episodes that the cell collected, their success by round, and '
        "how far RECAP's condition moves commands (rad), of the spread that noise gives them.",
        '', *table(['cell', 'updates', 'KL', 'lambda', 'least tau', 'tau', 'largest tau',
                    'operator', 'success by round', 'condition'], rows)]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    def line(cells: Sequence[str]) -> str:
        return f'| {" | ".join(cells)} |'

    return [line(header), '|---' * len(header) + '|', *(line(row) for row in rows)]


def _number(value: float | None, digits: int = 2) -> str:
    if value is None or not math.isfinite(value):
        return ''
    return f'{value:.{digits}f}'


def _interval(value: Mapping[str, float], *, signed: bool = False) -> str:
    sign = '+' if signed else ''
    return f'{value["mean"]:{sign}.2f} ({value["low"]:{sign}.2f} to {value["high"]:{sign}.2f})'


def _beside(own: str, other: float | None) -> str:
    return own if other is None else f'{own} / {other:.2f}'
