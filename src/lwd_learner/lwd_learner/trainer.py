# SPDX-License-Identifier: Apache-2.0
"""The training loop: one for all algorithms and stages, that can be killed at any update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwd_learner import checkpoint
from lwd_learner.algorithms.base import Algorithm, Phase
from lwd_learner.contexts import ContextCache
from lwd_learner.data import Replay
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError, DataError, GateError
from lwd_learner.feeding import reading, with_contexts
from lwd_learner.metrics import Metrics
from lwd_learner.td import Stage

_FIT_WINDOWS = 8192
_STRIDE = 1_000_000
"""Updates of a round draw their batches from numbers of their own."""


@dataclass(frozen=True)
class TrainerConfig:
    """Of the loop."""

    log_every: int = 50
    """Updates between two lines of metrics."""
    checkpoint_every: int = 500
    """Updates between two checkpoints; one more is written at each end of a phase."""
    gate_retries: int = 2
    """How often the critic is trained on when it does not rank chunks yet."""
    tensorboard: bool = True
    """Whether to write TensorBoard's files beside the JSON lines."""
    prefetch: int = 2
    """Batches that are read ahead while one is trained on; 0 reads each when it is needed. The
    numbers are the same."""
    freeze_backbone_online: bool = True
    """Whether the policy's backbone stays as it is in the online stage, as the paper's VLM does:
    rounds then train the action expert and the critic only, and publications are smaller."""
    keep_contexts: bool = True
    """Whether contexts of a frozen backbone are kept beside the segments (1 KB a step) instead of
    computed in every update. They differ by rounding from those of other batches."""

    def __post_init__(self) -> None:
        for name in ('log_every', 'checkpoint_every'):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f'trainer.{name} is {getattr(self, name)}; it must be at least 1')
        if self.prefetch < 0:
            raise ConfigError(f'trainer.prefetch is {self.prefetch}; it must be 0 (off) or more')


@dataclass(frozen=True)
class GateResult:
    """Whether the critic ranks chunks, and how that was found."""

    passed: bool
    detail: str
    metrics: Mapping[str, float]


Gate = Callable[[Algorithm], GateResult]


@dataclass
class Progress:
    """Where a run is."""

    stage: Stage = 'offline'
    round: int = 0
    phase: int = 0
    update: int = 0
    """Of the phase."""
    step: int = 0
    """Over all phases and rounds."""
    retries: int = 0
    """Of the gate."""


class Trainer:
    """Runs the phases of an algorithm."""

    def __init__(
        self, algorithm: Algorithm, engine: Engine, config: TrainerConfig, folder: Path, *,
        seed: int = 0, gate: Gate | None = None,
        say: Callable[[str], None] = lambda _: None,
        on_update: Callable[[Progress, Phase], None] = lambda *_: None,
        contexts: ContextCache | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            algorithm: What is trained.
            engine: Where.
            config: Of the loop.
            folder: Of the run; a checkpoint there is gone on from.
            seed: Of the draws.
            gate: Asked before a phase that is gated; None opens it without asking, and says so.
            say: Takes what an operator should read.
            on_update: Called after every update.
            contexts: Keeps those of a frozen backbone; None computes them in every update.
        """
        self.algorithm, self.engine, self.config = algorithm, engine, config
        self.folder, self.seed, self._gate = folder, seed, gate
        self._say, self._on_update, self.contexts = say, on_update, contexts
        self.progress = Progress()
        self.last_metrics: dict[str, float] = {}
        """The averages logged last; empty before the first line."""
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / checkpoint.FILE).is_file():
            self._resume()
        self.metrics = Metrics(
            folder, from_step=self.progress.step,
            tensorboard=config.tensorboard) if engine.leads else None

    def _resume(self) -> None:
        state = checkpoint.load(self.folder, self.engine.device)
        if state['algorithm'] != self.algorithm.name:
            raise ConfigError(
                f'{self.folder} holds a run of {state["algorithm"]}, not of '
                f'{self.algorithm.name}; choose another folder')
        self.algorithm.restore(state['state'])
        self.progress = Progress(**state['progress'])
        self._say(f'goes on from update {self.progress.step} ({self.folder / checkpoint.FILE})')

    def save(self) -> None:
        """Write a checkpoint."""
        state = self.algorithm.state()
        if self.engine.leads:
            checkpoint.save(self.folder, {
                'algorithm': self.algorithm.name, 'state': state,
                'progress': vars(self.progress).copy()})

    def run(self, replay: Replay, stage: Stage, *, number: int = 0) -> None:
        """Run a stage to its end: all offline phases, or one online round.

        Args:
            replay: The data, pinned.
            stage: offline or online.
            number: Of the online round, from 0; a round that is done already is passed over.

        Raises:
            DivergedError: A loss is not finite; the last checkpoint is good.
            GateError: The critic does not rank chunks, however often it was trained on.
        """
        done = self.progress
        if (stage == 'offline' and done.stage == 'online') or (
                stage == done.stage == 'online' and number < done.round):
            return
        if (done.stage, done.round) != (stage, number):
            self.progress = Progress(stage, number, 0, 0, done.step)
        phases = self.algorithm.phases(stage, replay.facts)
        if self.progress.step == 0:
            self._begin(replay)
        self.algorithm.freeze_backbone(
            stage == 'online' and self.config.freeze_backbone_online)
        if self.metrics is not None:
            self.metrics.note(self.progress.step, 'data', _flat('data', replay.mixture()))
        while self.progress.phase < len(phases):
            self._run_phase(phases, replay)
        if stage == 'offline':
            self.progress = Progress('online', 0, 0, 0, self.progress.step)
        else:
            self.progress = Progress('online', number + 1, 0, 0, self.progress.step)
        self.save()

    def _begin(self, replay: Replay) -> None:
        if not self.algorithm.fitted:
            self.algorithm.fit(replay.sample(_FIT_WINDOWS))

    def _run_phase(self, phases: list[Phase], replay: Replay) -> None:
        progress = self.progress
        phase = phases[progress.phase]
        if progress.update == 0:
            if phase.gated and not self._passes():
                progress.retries += 1
                if progress.retries > self.config.gate_retries:
                    self.save()
                    raise GateError(
                        f'the critic still does not rank chunks after {progress.retries - 1} '
                        f'retries, so the actor was not trained and the policy is still the '
                        'reference. More data or more critic updates may help; gate=off trains it '
                        'all the same')
                progress.phase -= 1
                self._say(f'the critic is trained on: {phases[progress.phase].name} again')
                return
            self.algorithm.begin(phase)
            self._say(f'{phase.name}: {phase.updates} updates')
        samplers = {name: replay.sampler(feed) for name, feed in phase.feeds.items()}
        with reading(
            phase, samplers, first=progress.round * _STRIDE + progress.step,
            count=phase.updates - progress.update, ahead=self.config.prefetch,
        ) as read:
            for batches in read:
                found = self.algorithm.update(phase, progress.step, with_contexts(
                    batches, phase, samplers, self.contexts, self.algorithm.policy.backbone))
                progress.update += 1
                progress.step += 1
                self._log(found, phase)
                self._on_update(progress, phase)
                if progress.step % self.config.checkpoint_every == 0:
                    self.save()
        progress.phase, progress.update = progress.phase + 1, 0
        self.save()

    def _passes(self) -> bool:
        if self._gate is None:
            self._say('gate: off, the critic was not shown to rank chunks')
            return True
        result = self._gate(self.algorithm)
        self._say(f'gate: {"passed" if result.passed else "NOT passed"}: {result.detail}')
        if self.metrics is not None:
            self.metrics.note(self.progress.step, 'gate',
                              {'gate/passed': int(result.passed), **result.metrics})
        return result.passed

    def _log(self, found: Mapping[str, float], phase: Phase) -> None:
        if self.metrics is None:
            return
        self.metrics.add(found)
        last = self.progress.update == phase.updates
        if last or self.progress.step % self.config.log_every == 0:
            self.last_metrics = self.metrics.write(self.progress.step, phase.name)

    def close(self) -> None:
        """Close the metrics."""
        if self.metrics is not None:
            self.metrics.close()


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested counts under names with slashes.

    Raises:
        DataError: There is nothing to train on.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(f'{prefix}/{name}', value)
        else:
            found[f'{prefix}/{name}'] = value
    if found.get('data/windows') == 0:
        raise DataError('no window can be drawn from the snapshot')
    return found
