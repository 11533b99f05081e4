# SPDX-License-Identifier: Apache-2.0
"""What every benchmark ends with: one JSON line of metrics and the bars they must reach."""

from __future__ import annotations

import json
import operator
import os
import platform
from collections.abc import Mapping

_OPERATORS = {'<=': operator.le, '>=': operator.ge, '==': operator.eq}


def quick() -> bool:
    """Return whether a run of under a minute is wanted."""
    return os.environ.get('QUICK', '') not in ('', '0')


def processor() -> str:
    """Return the processor's name."""
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for line in file:
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor()


def report(
    name: str, metrics: Mapping[str, float], bars: Mapping[str, tuple[str, float]], *,
    unmeasured: Mapping[str, str] | None = None,
) -> int:
    """Print metrics against bars, then the JSON line; returns 0 if every bar is reached.

    Args:
        name: Of the benchmark.
        metrics: What was measured.
        bars: What metrics must reach: sign and number.
        unmeasured: Metrics that could not be measured here, and why; with any, `ok` is no more
            than null.
    """
    ok: bool | None = None if unmeasured else True
    for metric, value in metrics.items():
        text = f'{metric}: {value:.4g}'
        if metric in bars:
            sign, bar = bars[metric]
            reached = bool(_OPERATORS[sign](value, bar))
            ok = ok if reached else False
            text += f'  ({"reached" if reached else "MISSED"}: {sign} {bar:g})'
        print(text)
    for metric, why in (unmeasured or {}).items():
        print(f'{metric}: not measured: {why}')
    print(json.dumps({
        'name': name,
        'metrics': {key: round(float(value), 5) for key, value in metrics.items()},
        'bars': {key: list(bar) for key, bar in bars.items()},
        'ok': ok,
        **({'unmeasured': dict(unmeasured)} if unmeasured else {}),
        'machine': {'processor': processor(), 'cores': os.cpu_count(), 'quick': quick(),
                    'python': platform.python_version()},
    }))
    return 0 if ok else 1
