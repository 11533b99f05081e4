# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from g1_description.errors import UnknownNameError
from g1_description.joints import COMMAND_JOINTS, limits
from g1_sim import tasks
from g1_sim.errors import RenderError, SceneError, UnknownTaskError
from g1_sim.experts import expert_for
from g1_sim.render import CameraRig
from g1_sim.world import World


def world(seed=0, distribution='train'):
    return World(tasks.get('restock').scene(seed, distribution))


def test_the_same_seed_gives_the_same_scene_and_another_one_another():
    assert world(3).state().tobytes() == world(3).state().tobytes()
    assert world(3).state().tobytes() != world(4).state().tobytes()
    assert world(3).state().tobytes() != world(3, 'deploy').state().tobytes()


def test_a_saved_state_branches_into_the_same_future():
    """The physics goes on bit for bit, in this world and in another one of the same scene."""
    first = world(1)
    expert = expert_for(first)
    commands = []
    for _ in range(60):
        commands.append(expert.act())
        first.set_targets(commands[-1])
        first.advance(8)
    saved = first.state()
    futures = []
    for branch in (first, world(1)):
        branch.restore(saved)
        for command in commands[::-1]:
            branch.set_targets(command)
            branch.advance(8)
        futures.append(branch.state().tobytes())
    assert futures[0] == futures[1]


def test_a_state_of_another_scene_is_refused():
    with pytest.raises(SceneError, match=r"3 numbers does not fit scene 'restock' seed 0"):
        world(0).restore(np.zeros(3))


@pytest.mark.parametrize('targets', [np.full(16, np.nan), np.zeros(15)])
def test_targets_that_would_break_the_simulation_are_refused(targets):
    with pytest.raises(SceneError, match='16 finite numbers'):
        world().set_targets(targets)


def test_the_arms_hold_their_posture_and_reach_their_targets():
    found = world()
    start = found.positions()
    found.advance(240)
    np.testing.assert_allclose(found.positions(), start, atol=2e-3)
    lower, upper = limits(COMMAND_JOINTS)
    target = start[:16].copy()
    target[[1, 7, 9]] += [0.1, 0.6, -0.1]
    target = np.clip(target, lower, upper)
    found.set_targets(target)
    found.advance(360)
    np.testing.assert_allclose(found.positions()[:16], target, atol=5e-3)


def test_the_cameras_see_the_scene_and_the_seed_changes_it():
    with CameraRig(['head', 'left_wrist'], width=64, height=48) as rig:
        first = rig.images(world(0))
        other = rig.images(world(5))
        again = rig.images(world(0))
    for name, image in first.items():
        assert image.shape == (48, 64, 3)
        assert image.std() > 5
        assert np.array_equal(image, again[name])
        assert not np.array_equal(image, other[name])


def test_an_unknown_camera_and_a_missing_graphics_library_are_named(monkeypatch):
    with pytest.raises(UnknownNameError, match="unknown camera 'hed'; did you mean 'head'"):
        CameraRig(['hed'], width=8, height=8)

    def fail(*_):
        raise OSError('no libEGL.so')

    monkeypatch.setattr('g1_sim.render.mujoco.Renderer', fail)
    with pytest.raises(RenderError, match=r'no libEGL\.so.*libegl1.*MUJOCO_GL=egl'):
        CameraRig(['head'], width=8, height=8).images(world())


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(UnknownTaskError, match="unknown task 'restok'; did you mean 'restock'"):
        tasks.get('restok')


