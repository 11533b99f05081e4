# SPDX-License-Identifier: Apache-2.0
"""What the learner of a deployed fleet is told, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from lwd_learner.training import TrainConfig
from lwd_policy.store import Precision


@dataclass(frozen=True)
class OnlineConfig:
    """Of the learner while a fleet deploys."""

    store: str = 'store'
    """Folder of the replay store, with its catalogue."""
    run: str = 'runs/learner'
    """Folder of checkpoints, metrics and published policies."""
    init: str = ''
    """Folder of the policy to begin from, as `lwd train` leaves it; required for a new run."""
    critic: str = ''
    """Folder of its critic; empty: critic/ beside the policy if it is there, else a new one."""
    name: str = 'lwd'
    """Of the line of policies, for their cards."""
    windows_per_update: float = field(default=20.0, metadata={'range': (0.0, 1e9)})
    """So many new windows of the fleet each update needs: without new data the learner waits.
    0 never waits."""
    keep: int = field(default=50, metadata={'range': (1, 10**6)})
    """Published policies whose weights are kept; cards are kept for ever."""
    precision: Precision = 'bf16'
    """Of published weights. Robots compute in fp32 with them; the learner keeps fp32."""
    first_windows: int = field(default=300, metadata={'range': (0, 10**9)})
    """So many windows of the fleet before the first round."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """What is trained, and how."""


@dataclass(frozen=True)
class Standing:
    """What the learner has done, for its status."""

    round: int
    """Rounds finished."""
    update: int
    """Gradient updates done since the run began."""
    phase: str
    """Of the round that is trained now; empty while it waits."""
    snapshot: str
    """That it trains on, or trained on last."""
    episodes: int
    """In that snapshot."""
    windows: int
    """In that snapshot, offline and online."""
    online_windows: int
    wanted_windows: int
    """Online windows that the next round needs."""
    published: str
    """Version published last; empty if none."""
    publications: int
