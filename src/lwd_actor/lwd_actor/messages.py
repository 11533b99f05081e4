# SPDX-License-Identifier: Apache-2.0
"""Between this package's types and ROS messages."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import COMMAND_NAMES
from lwd_actor.errors import ProposalError
from lwd_actor.intervention import InterventionState
from lwd_actor.proposal import Decision, Proposal, Seen, Source
from lwd_msgs.msg import ActionChunk, ControlStep, Intervention, Tick
from lwd_ros.convert import to_ns, to_time

if TYPE_CHECKING:
    # Brings PyTorch, which an arbiter does not need.
    from lwd_actor.inference import Answer

Array = NDArray[np.float64]

BASE = 'base_link'
_NAMES = list(COMMAND_NAMES)


def seen(tick: Tick) -> Seen:
    """Return what there was to see at a tick."""
    return Seen(to_ns(tick.joint_state_stamp), {
        name: to_ns(stamp) for name, stamp in zip(tick.cameras, tick.image_stamps)})


def control_step(
    decision: Decision | Proposal, stamp_ns: int, *, episode_id: str = '', step_index: int = 0,
) -> ControlStep:
    """Return the message of a decision, or of a proposal, that answers a tick's stamp."""
    message = ControlStep(
        tick=decision.tick, episode_id=episode_id, step_index=step_index,
        policy_version=decision.policy_version, chunk_id=decision.chunk_id,
        chunk_index=decision.chunk_index, source=int(decision.source),
        cameras=list(decision.seen.images_ns))
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE
    message.joint_state_stamp = to_time(decision.seen.joints_ns)
    message.image_stamps = [to_time(stamp) for stamp in decision.seen.images_ns.values()]
    if decision.positions is not None:
        message.joint_names = _NAMES
        message.positions = array.array('d', decision.positions)
    return message


def proposal(message: ControlStep) -> Proposal:
    """Return the checked proposal of a message.

    Raises:
        ProposalError: It cannot be followed, or comes from nobody who may propose.
    """
    if message.source not in (Source.POLICY, Source.EXPERT, Source.TELEOP):
        raise ProposalError(
            f'a command is proposed by source {message.source}; it must be policy, expert or '
            'teleop')
    positions = np.asarray(message.positions, dtype=np.float64) if len(message.positions) else None
    found = Proposal(
        message.tick, Source(message.source), positions,
        Seen(to_ns(message.joint_state_stamp), {
            name: to_ns(stamp) for name, stamp in zip(message.cameras, message.image_stamps)}),
        message.policy_version, message.chunk_id, message.chunk_index)
    found.check(message.joint_names)
    return found


def intervention(
    state: InterventionState, stamp_ns: int, *, operator_id: str, device: str,
) -> Intervention:
    """Return the message of an intervention."""
    message = Intervention(
        active=state.active, operator_id=operator_id, device=device, reason=int(state.reason),
        episode_id=state.episode_id, intervention_id=state.number)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE
    message.begin = to_time(state.begin_ns)
    message.end = to_time(state.end_ns)
    return message


def action_chunk(answer: Answer, number: int) -> ActionChunk:
    """Return the message of an inference, the so many-th."""
    sight, committed = answer.question.sight, answer.question.committed
    message = ActionChunk(
        chunk_id=number, first_tick=sight.tick, policy_version=answer.question.policy.version,
        instruction=sight.instruction, horizon=len(answer.commands), joint_names=_NAMES,
        committed=0 if committed is None else committed.fixed,
        inference_seconds=answer.seconds)
    message.header.stamp = to_time(sight.stamp_ns)
    message.header.frame_id = BASE
    message.positions = array.array('d', answer.commands.ravel())
    return message
