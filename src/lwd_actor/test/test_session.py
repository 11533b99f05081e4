# SPDX-License-Identifier: Apache-2.0
"""Which episode comes next, and what happens when the robot does not play along."""

import pytest
from fake_robot import FakeRobot

from lwd_actor.episode_life import Phase
from lwd_actor.episodes import Episodes
from lwd_actor.recording.sink import Sink
from lwd_actor.recording.spool import Spool
from lwd_actor.session import Act, Session, SessionConfig, Wish
from lwd_msgs.msg import Reward


class Room:
    """A session of a fake robot that does what it is asked for."""

    def __init__(self, folder, **config):
        self.now = 100.0
        self.obstacle = ''
        self.folder = folder
        self.config = SessionConfig(**config)
        self.spool = Spool(folder, 'g1_01')
        self.sink = Sink()
        self.episodes = Episodes('g1_01', self.spool, self.sink, clock=lambda: self.now)
        self.robot = FakeRobot(self.episodes)
        self.robot.task()
        self.robot.step(2)
        self.session = self.begin()
        self.asked = []

    def begin(self):
        return Session(self.config, self.episodes, self.spool.folder,
                       obstacle=lambda: self.obstacle, clock=lambda: self.now)

    def wish(self):
        found = self.session.poll()
        if found is not None:
            self.asked.append(found)
        return found

    def fulfil(self, wish, *, success=True, message=''):
        if wish.act is Act.RESET and success:
            self.robot.reset()
        self.session.answered(wish, success=success, message=message)

    def episode(self, terminal=Reward.TERMINAL_SUCCESS):
        wish = self.wish()
        assert wish.act is Act.RESET
        self.fulfil(wish)
        self.robot.step(5)
        assert self.episodes.phase is Phase.RUNNING
        if terminal:
            self.robot.judge(terminal)
        else:
            self.robot.reset()
            self.robot.step(1)
        while self.episodes.phase is not Phase.IDLE:
            self.episodes.poll()
        assert self.wish() is None or not self.session.over

    def close(self):
        self.sink.stop()
        self.spool.release()


@pytest.fixture
def room(tmp_path):
    made = []

    def make(**config):
        made.append(Room(tmp_path, **config))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_tasks_take_turns_and_each_gets_the_same_seeds(room):
    session = room(tasks=('a', 'b'), first_seed=5, seeds=2).session
    scenes = []
    for session.done in range(6):
        scenes.append(session.scene)
    assert scenes == [('a', 5), ('b', 5), ('a', 6), ('b', 6), ('a', 5), ('b', 5)]


def test_episode_after_episode_until_all_are_there(room):
    here = room(episodes=2, first_seed=40)
    here.episode()
    here.session.poll()
    # The first poll after an episode may ask for the next at once.
    wish = here.asked[-1]
    assert (wish.act, wish.seed) == (Act.RESET, 41)
    here.fulfil(wish)
    here.robot.step(5)
    here.robot.judge(Reward.TERMINAL_FAILURE)
    while here.episodes.phase is not Phase.IDLE:
        here.episodes.poll()
    assert here.wish() is None
    assert here.session.over
    assert [one.seed for one in here.asked] == [40, 41]
    assert len([path for path in here.spool.folder.iterdir() if path.is_dir()]) == 2


def test_the_task_is_set_first(room):
    here = room(tasks=('restock', 'cook'), distribution='deploy')
    assert here.wish() == Wish(Act.SET_TASK, 'restock', 'deploy')
    here.fulfil(here.asked[-1], success=False, message='unknown task')
    assert here.session.reason == 'set_task was refused: unknown task'
    assert here.wish() is None, 'it waits before it tries again'
    here.now += 3.0
    assert here.wish().act is Act.SET_TASK


def test_an_interrupted_scene_is_tried_again_but_not_for_ever(room):
    here = room(first_seed=3)
    for _ in range(3):
        here.now += 3.0
        here.asked.clear()
        here.episode(terminal=None)
        assert here.asked[0].seed == 3
    here.now += 3.0
    assert here.session.scene == ('', 4)


def test_a_refused_or_unanswered_reset_gives_the_episode_up(room):
    here = room()
    here.fulfil(here.wish(), success=False, message='no such scene')
    assert here.episodes.phase is Phase.IDLE
    assert here.session.reason == 'reset was refused: no such scene'
    here.now += 3.0
    late = here.wish()
    here.now += 60.0
    assert here.wish() is None
    assert 'reset was not answered in 40 s' in here.session.reason
    here.session.answered(late, success=True, message='')
    here.now += 3.0
    assert here.wish().act is Act.RESET


def test_it_waits_for_the_robot(room):
    here = room()
    here.obstacle = 'nobody drives the robot yet'
    assert here.wish() is None
    assert here.session.reason == 'nobody drives the robot yet'
    here.obstacle = ''
    assert here.wish().act is Act.RESET


def test_a_session_goes_on_where_it_was_and_a_finished_one_begins_anew(room):
    here = room(episodes=2, first_seed=9)
    here.episode()
    assert here.begin().done == 1
    assert here.begin().scene == ('', 10)
    here.session.done = 2
    here.session._write()
    assert here.begin().done == 0
    (here.spool.folder / 'session.json').write_text('{"config": {}, "done": 1}')
    assert here.begin().done == 0, 'it was another plan'
    (here.spool.folder / 'session.json').write_text('nonsense')
    assert here.begin().done == 0
