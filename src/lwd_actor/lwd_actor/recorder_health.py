# SPDX-License-Identifier: Apache-2.0
"""What the recorder says of itself on /diagnostics."""

from __future__ import annotations

from collections.abc import Callable

from lwd_actor.episode_life import Phase
from lwd_actor.episodes import Episodes
from lwd_actor.recording.sink import Sink
from lwd_actor.recording.spool import Spool
from lwd_actor.session import Session
from lwd_ros.diagnostics import ERROR, OK, WARN, Health


def health(
    episodes: Episodes, sink: Sink, spool: Spool, session: Session | None, *, damaged: str,
    obstacle: Callable[[], str],
) -> Health:
    """Return how a recorder is.

    Args:
        episodes: Of the robot.
        sink: Writes them.
        spool: Where to.
        session: Records by itself; None for episodes on demand.
        damaged: The last message that could not be read; empty if there was none.
        obstacle: Says why the robot cannot be recorded now; empty if it can.
    """
    values = _values(episodes, sink, session)
    if (trouble := spool.trouble()):
        return Health(ERROR, trouble, values)
    if (wrong := damaged or '; '.join(spool.unrecovered)):
        return Health(ERROR, wrong, values)
    if sink.dropped or episodes.lost:
        return Health(
            WARN, f'{sum(sink.dropped.values())} messages dropped, '
            f'{sum(episodes.lost.values())} lost on the way, since the start', values)
    if episodes.phase is Phase.IDLE and (why := obstacle()):
        return Health(WARN, f'no episode can be started: {why}', values)
    if session is not None and session.reason and episodes.phase is Phase.IDLE:
        return Health(WARN, session.reason, values)
    return Health(OK, episodes.phase.value, values)


def _values(episodes: Episodes, sink: Sink, session: Session | None) -> dict[str, object]:
    values: dict[str, object] = {
        'episode': '' if episodes.state is None else episodes.state.episode_id,
        'phase': episodes.phase.value, 'finished': episodes.finished,
        'waiting for the disk (MB)': round(sink.waiting_bytes / 1e6, 2),
        'dropped': sum(sink.dropped.values()), 'lost': sum(episodes.lost.values()),
        **{f'dropped of {name}': count for name, count in sorted(sink.dropped.items())},
        **{f'lost of {name}': count for name, count in sorted(episodes.lost.items())}}
    if session is not None:
        values['session'] = f'{session.done} of {session.config.episodes or "many"}'
    return values
