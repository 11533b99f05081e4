# SPDX-License-Identifier: Apache-2.0
"""Pilot and arbiter together: late, early and lost answers lose the robot no action.

A policy that always goes on from where it sees the robot tells on every miscount: the robot moves
by one step a tick, or stands, and by two only where an action was skipped.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwd_actor.action_queue import ActionQueue, Chunk
from lwd_actor.arbiter import Arbiter, TickInfo
from lwd_actor.inference import Answer
from lwd_actor.pilot import Pilot
from lwd_actor.policy_config import PilotConfig
from lwd_actor.proposal import Proposal, Seen, Source
from lwd_actor.sight import Sight

STEP = 0.001
HORIZON = 30


class GoesOn:
    """A policy in name; its answers are made by `Later`."""

    version, horizon, continues, seconds = 'v', HORIZON, True, 0.0

    def close(self):
        pass


class Later:
    """In the place of the thread that infers: an answer is there after so many ticks."""

    def __init__(self, delays):
        self._delays = delays
        self._answer, self._left = None, 0

    @property
    def busy(self):
        return self._answer is not None

    def ask(self, question):
        ahead = STEP * np.arange(1, HORIZON + 1)[:, None]
        self._answer = Answer(question, question.sight.sent + ahead, 0.01)
        self._left = next(self._delays)

    def take(self):
        self._left -= 1
        if self._answer is None or self._left > 0:
            return None
        answer, self._answer = self._answer, None
        return answer

    def stop(self):
        pass


class Run:
    """A robot in real time, whose arbiter gets answers and tells of ticks as a test says."""

    def __init__(self, events, delays, chunking='continue'):
        """Play.

        Args:
            events: For each tick, how its answer comes, and whether the policy has heard by then
                what became of the ticks before.
            delays: Ticks that inferences take, in turn.
            chunking: Of the pilot.
        """
        self.pilot = Pilot(
            PilotConfig(chunking=chunking), synchronous=True, answered=lambda _: None)
        self.pilot._worker = Later(itertools.cycle(delays))
        self.pilot.change(GoesOn())
        self.arbiter = Arbiter()
        self.steps = []
        """The arbiter's decisions, a tick each."""
        self._known, self._origins = -1, {}
        late = None
        for tick, (comes, told) in enumerate(events):
            if comes != 'early':
                self._decide(tick - 1)
            if late is not None:
                self.arbiter.propose(late)
            if told:
                self._tell()
            wants = self.pilot.tick(tick - 1 - self._known)
            proposal, late = self._proposal(tick), None
            if comes == 'late':
                late = proposal
            elif comes != 'lost':
                self.arbiter.propose(proposal)
            if comes == 'early':
                self._decide(tick - 1)
            if wants:
                self.pilot.show(Sight(tick, 0, 0, Seen(), np.zeros(20), self._sent, 'go'))
        self._decide(len(events) - 1)
        self._tell()

    @property
    def _sent(self):
        return self.steps[-1].positions if self.steps else np.zeros(16)

    def _proposal(self, tick):
        action = self.pilot.act()
        # Before they are forgotten.
        self._origins.update(self.pilot.queue._origins)
        if action is None:
            return Proposal(tick, Source.POLICY, None)
        return Proposal(tick, Source.POLICY, action.command, Seen(), 'v', action.chunk,
                        action.index)

    def _decide(self, tick):
        if tick >= 0:
            self.steps.append(self.arbiter.decide(
                TickInfo(tick, 0, Seen()), command=self._sent))

    def _tell(self):
        for step in self.steps[self._known + 1:]:
            if step.source is Source.POLICY:
                self.pilot.queue.followed(step.chunk_id, step.chunk_index)
            self._known = step.tick

    def place(self, step):
        """Return where on the pilot's line of actions a step is."""
        return self._origins[step.chunk_id] + step.chunk_index

    def pairs(self):
        """Yield by how many actions and rad the robot moved on, from tick to tick."""
        for before, after in itertools.pairwise(self.steps):
            if before.source is after.source is Source.POLICY:
                yield (self.place(after) - self.place(before),
                       (after.positions - before.positions)[0])


PUNCTUAL = st.just('punctual')
ANSWERS = st.one_of(PUNCTUAL, st.sampled_from(['punctual', 'late', 'lost', 'early']))
DELAYS = st.lists(st.integers(1, 22), min_size=1, max_size=5)


@given(answers=st.lists(st.one_of(PUNCTUAL, st.sampled_from(['late', 'lost'])), max_size=150),
       delays=DELAYS, chunking=st.sampled_from(['continue', 'blend']))
@settings(max_examples=150, deadline=None)
def test_no_action_is_skipped_and_none_done_twice_but_for_want_of_an_answer(
    answers, delays, chunking,
):
    """Exactly: one action a tick, or the last one again, whatever comes late or never."""
    run = Run([(comes, True) for comes in answers], delays, chunking)
    for places, moved in run.pairs():
        assert places in (0, 1)
        assert moved == pytest.approx(places * STEP, abs=STEP / 5)
    assert run.pilot.queue.skipped == 0
    assert run.pilot.queue.repeated == sum(places == 0 for places, _ in run.pairs())


@given(events=st.lists(st.tuples(ANSWERS, st.booleans()), max_size=150), delays=DELAYS)
@settings(max_examples=150, deadline=None)
def test_what_is_skipped_while_the_arbiters_word_is_late_is_counted(events, delays):
    run = Run(events, delays)
    for places, moved in run.pairs():
        assert places >= 0
        assert moved <= (places + 1) * STEP
    done = [-1, *(run.place(step) for step in run.steps if step.source is Source.POLICY)]
    assert run.pilot.queue.skipped == sum(
        max(0, after - before - 1) for before, after in itertools.pairwise(done))


def test_a_late_answer_and_then_a_punctual_one_are_a_step_each():
    run = Run([('punctual', True)] * 20 + [('late', True)] + [('punctual', True)] * 20, [1])
    moved = [round(rad / STEP, 6) for _, rad in run.pairs()]
    late = moved.index(0.0)
    assert moved == [1.0] * late + [0.0] + [1.0] * (len(moved) - late - 1)
    assert run.pilot.queue.repeated == 1


def test_a_chunk_that_was_begun_too_early_goes_back_to_what_was_not_done():
    """The robot was given the old chunk's last step again in the tick of the change."""
    queue = ActionQueue()
    ramp = np.repeat(np.arange(HORIZON, dtype=float)[:, None], 16, axis=1)
    queue.replace(Chunk(ramp, 1))
    for _ in range(3):
        queue.pop()
        queue.followed(1, queue.taken - 1)
    mark = queue.mark()
    for _ in range(2):
        queue.pop()
    queue.followed(1, 3)
    assert queue.merge(Chunk(ramp + 100.0, 2, fixed=1), mark)
    assert queue.pop().index == 2
    queue.followed(1, 3)
    queue.resume()
    again = queue.pop()
    assert (again.chunk, again.index) == (2, 1)
    # What the old chunk would have done in its place.
    np.testing.assert_array_equal(again.command, ramp[4])
    assert (queue.repeated, queue.skipped) == (1, 0)
    queue.followed(2, 3)
    assert queue.skipped == 2


def test_chunks_of_another_line_tell_nothing():
    queue = ActionQueue()
    queue.replace(Chunk(np.zeros((HORIZON, 16)), 1))
    queue.pop()
    queue.clear()
    queue.replace(Chunk(np.zeros((HORIZON, 16)), 2))
    queue.pop()
    queue.followed(1, 0)
    queue.resume()
    assert queue.pop().index == 0
