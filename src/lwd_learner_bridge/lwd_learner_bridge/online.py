# SPDX-License-Identifier: Apache-2.0
"""The learner's loop while a fleet deploys: pin a snapshot, train a round on it, publish.

    run/
        checkpoint.pt, metrics.jsonl, tensorboard/   as the trainer writes them
        start/                                       the policy and critic that it began from
        last/                                        those of the last round
        published/                                   see lwd_policy.published

It can be killed at any update: the trainer resumes to the same numbers, on the same snapshot, and
a round that was finished but not yet published is published then, never an older one as new.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwd_data.errors import EmptyError
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.snapshot import Snapshot
from lwd_learner.algorithms.base import Algorithm, Phase
from lwd_learner.contexts import ContextCache
from lwd_learner.data import Replay
from lwd_learner.engine import Engine
from lwd_learner.errors import NoEpisodeError
from lwd_learner.trainer import Progress, Trainer
from lwd_learner.training import make_algorithm, policy_config
from lwd_learner_bridge.errors import BridgeError
from lwd_learner_bridge.online_config import OnlineConfig, Standing
from lwd_policy import canary
from lwd_policy.payload import CANARY_FILE
from lwd_policy.published import Publication, Published
from lwd_policy.store import (
    CRITIC,
    POLICY,
    card_of,
    load_critic,
    load_policy,
    save_critic,
    save_policy,
)

START, LAST, PUBLISHED = 'start', 'last', 'published'
_SNAPSHOT_FILE = 'snapshot.json'


class OnlineLearner:
    """Trains rounds on snapshots of a growing store and publishes a policy after each."""

    def __init__(
        self, config: OnlineConfig, *, say: Callable[[str], None] = lambda _: None,
        on_update: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin a run, or go on with the one in its folder.

        Args:
            config: Of the run.
            say: Takes what an operator should read.
            on_update: Called after every gradient update; may raise to stop.

        Raises:
            BridgeError: There is no policy to begin from.
            PolicyError, LearnerError: What is to be gone on with cannot be read.
        """
        self.config, self._say, self._on_update = config, say, on_update
        self.folder = Path(config.run).absolute()
        self.store = Path(config.store).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.published = Published(self.folder / PUBLISHED)
        self.engine = Engine(config.train.engine)
        self.algorithm = self._make()
        self._phase = ''
        self._latest = self.published.latest()
        self._replay: Replay | None = None
        self._looked_at = -1
        """Sequence of the catalogue when it was last looked at."""
        self._snapshot: Snapshot | None = None
        self._barren = -1
        """Sequence of the catalogue that had nothing for a round."""
        self._windows: dict[str, int] = {}
        self.trainer = Trainer(
            self.algorithm, self.engine, config.train.trainer, self.folder,
            seed=config.train.seed, say=say, on_update=self._updated,
            contexts=self._contexts())
        progress = self.trainer.progress
        if progress.stage == 'offline':
            # What came before is in the policy and the critic that it begins from.
            self.trainer.progress = Progress('online', 0, 0, 0, 0)
        self._finish()

    def _make(self) -> Algorithm:
        """Build the algorithm, starting from the run's first policy."""
        start = self.folder / START
        if not start.is_dir():
            self._copy_start(start)
        policy, _, self._card = load_policy(start / POLICY)
        algorithm = make_algorithm(self.config.train, self.engine)
        algorithm.start_from(policy.to(self.engine.device))
        adopt = getattr(algorithm, 'adopt_critic', None)
        if adopt is not None and (start / CRITIC).is_dir():
            adopt(load_critic(start / CRITIC).to(self.engine.device))
        elif adopt is not None:
            self._say(f'{algorithm.name} begins with a critic that knows nothing: no folder '
                      f'{CRITIC}/ beside {self.config.init}')
        return algorithm

    def _copy_start(self, place: Path) -> None:
        source = Path(self.config.init).absolute()
        if not self.config.init or not source.is_dir():
            raise BridgeError(
                f'init is {self.config.init!r}, which is no folder; a new run begins from a '
                'policy as `lwd train` makes it')
        # What is damaged is found where it lies, and does not become the run's.
        load_policy(source)
        part = place.with_name(START + '.part')
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part / POLICY)
        critic = Path(self.config.critic) if self.config.critic else source.parent / CRITIC
        if critic.is_dir():
            load_critic(critic)
            shutil.copytree(critic, part / CRITIC)
        elif self.config.critic:
            raise BridgeError(f'critic is {self.config.critic!r}, which is no folder')
        part.rename(place)

    def _contexts(self) -> ContextCache | None:
        """Return what keeps contexts, if they are to be kept and stay what they are."""
        trainer = self.config.train.trainer
        if not (trainer.keep_contexts and trainer.freeze_backbone_online):
            return None
        return ContextCache(self.engine, self.algorithm.policy.config.context_width)

    @property
    def standing(self) -> Standing:
        """What it has done so far."""
        progress, latest = self.trainer.progress, self._latest
        return Standing(
            round=progress.round, update=progress.step, phase=self._phase,
            snapshot='' if self._snapshot is None else self._snapshot.id,
            episodes=self._windows.get('episodes', 0), windows=self._windows.get('windows', 0),
            online_windows=self._windows.get('online', 0), wanted_windows=self._wanted(),
            published='' if latest is None else latest.version,
            publications=0 if latest is None else latest.number)

    def publish_start(self) -> Publication | None:
        """Publish the policy that the run began from, if nothing was published yet."""
        if self._latest is not None:
            return None
        self._latest = self.published.add(self.folder / START / POLICY, update=0)
        return self._latest

    def step(self) -> Publication | None:
        """Train one round and publish it, if there is enough new data.

        Returns:
            What was published; None if it waits for data.

        Raises:
            DivergedError: A loss is not finite; the last checkpoint is good.
        """
        if not self._look() or not self._enough():
            return None
        replay, snapshot = self._replay, self._snapshot
        assert replay is not None  # noqa: S101  _look says that it is there
        assert snapshot is not None  # noqa: S101
        number = self.trainer.progress.round
        if snapshot.sequence == self._barren:
            return None
        self._pin(number, snapshot)
        try:
            self.trainer.run(replay, 'online', number=number)
        except EmptyError as error:
            # Nothing has succeeded yet, for example: the round begins with what comes later.
            self._say(str(error))
            self._barren = snapshot.sequence
            (self.folder / _SNAPSHOT_FILE).unlink()
            return None
        self._phase = ''
        self._save(snapshot.id, replay)
        return self._publish(snapshot.id)

    def close(self) -> None:
        """Close files."""
        self.trainer.close()
        self.engine.close()

    def _look(self) -> bool:
        """Look at what is new in the store; returns whether there is anything to train on."""
        number = self.trainer.progress.round
        begun = self._read_snapshot(number)
        with Catalogue(self.store) as catalogue:
            # A round that was begun goes on with the data that it was begun with.
            snapshot = catalogue.snapshot() if begun is None else catalogue.open_snapshot(begun)
            if snapshot.sequence == 0:
                return False
            if snapshot.sequence == self._looked_at and self._replay is not None:
                return True
        train = self.config.train
        try:
            self._replay = Replay(
                snapshot, policy_config(train), self.engine, train.lwd.td, seed=train.seed,
                previous=self._replay)
        except (EmptyError, NoEpisodeError):
            # The first episode may be too short for a chunk, or its first segment on its way.
            return False
        mixture = self._replay.mixture()
        self._windows = {
            'episodes': int(mixture['episodes']), 'windows': int(mixture['windows']),
            'online': int(mixture['origin'].get('online', 0))}
        self._snapshot, self._looked_at = snapshot, snapshot.sequence
        return True

    def _wanted(self) -> int:
        """Return how many online windows the next round needs."""
        rounds = self.trainer.progress.round
        per_round = 0.0
        if self._replay is not None:
            phases = self.algorithm.phases('online', self._replay.facts)
            per_round = self.config.windows_per_update * sum(phase.updates for phase in phases)
        return self.config.first_windows + round(rounds * per_round)

    def _enough(self) -> bool:
        progress = self.trainer.progress
        if progress.update or progress.phase:
            return True
        return self._windows['online'] >= self._wanted()

    def _updated(self, progress: Progress, phase: Phase) -> None:
        del progress
        self._phase = phase.name
        self._on_update()

    def _read_snapshot(self, number: int) -> str | None:
        """Return the id of the snapshot that a round was begun with; None if it was not begun."""
        try:
            content: dict[str, Any] = json.loads(
                (self.folder / _SNAPSHOT_FILE).read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None
        return str(content['snapshot']) if content['round'] == number else None

    def _pin(self, number: int, snapshot: Snapshot) -> None:
        """Note what a round is trained on, before it begins."""
        with Catalogue(self.store) as catalogue:
            catalogue.pin(f'{self.folder.name}/round-{number}/{snapshot.id[:12]}', snapshot)
        path = self.folder / _SNAPSHOT_FILE
        part = path.with_name(_SNAPSHOT_FILE + '.part')
        with part.open('w', encoding='utf-8') as file:
            json.dump({'round': number, 'snapshot': snapshot.id}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def _finish(self) -> None:
        """Publish a round that was finished but not published when the learner was killed."""
        progress, latest = self.trainer.progress, self._latest
        between = progress.phase == 0 and progress.update == 0
        done = 0 if latest is None else latest.update
        if progress.round and between and done < progress.step:
            begun = self._read_snapshot(progress.round - 1) or ''
            self._say(f'round {progress.round - 1} was finished, but not published: now it is')
            self._save(begun, canary_from=None)
            self._publish(begun)

    def _save(self, snapshot: str, canary_from: Replay | None) -> None:
        """Write the policy, and the critic if there is one, of the last round."""
        policy, config = self.algorithm.policy, self.config
        parent = self._card.version if self._latest is None else self._latest.version
        card = card_of(
            policy.config, self.algorithm.runtime, name=config.name,
            algorithm=self.algorithm.name, command=f'learner run={self.folder.name}',
            seed=config.train.seed, snapshot=snapshot, parent=parent,
            metrics=self.trainer.last_metrics)
        place = self.folder / LAST
        part = place.with_name(LAST + '.part')
        shutil.rmtree(part, ignore_errors=True)
        saved = save_policy(part / POLICY, policy, card, precision=config.precision)
        known = place / POLICY / CANARY_FILE
        if canary_from is not None:
            batch = canary_from.sample(canary.COUNT)
            canary.save(part / POLICY / CANARY_FILE,
                        canary.record(batch.observation, batch.instructions))
        elif known.is_file():
            shutil.copyfile(known, part / POLICY / CANARY_FILE)
        critic = getattr(self.algorithm, 'critic', None)
        if critic is not None:
            save_critic(part / CRITIC, critic, policy.config, saved)
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)

    def _publish(self, snapshot: str) -> Publication:
        self._latest = self.published.add(
            self.folder / LAST / POLICY, update=self.trainer.progress.step, snapshot=snapshot)
        self.published.keep(self.config.keep)
        return self._latest
