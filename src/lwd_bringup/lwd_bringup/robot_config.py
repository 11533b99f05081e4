# SPDX-License-Identifier: Apache-2.0
"""What runs on one robot's machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from g1_driver.config import LOCKSTEP, DriverConfig
from g1_driver.expert_node import ExpertConfig
from lwd_actor.arbiter_node import ArbiterConfig
from lwd_actor.errors import PadError
from lwd_actor.markers_config import MarkersConfig
from lwd_actor.operator_node import OperatorNodeConfig
from lwd_actor.policy_config import PolicyNodeConfig
from lwd_actor.receiver_config import ReceiverNodeConfig
from lwd_actor.recorder_config import RecorderConfig
from lwd_actor.recording.spool import default_spool
from lwd_actor.teleop.pad_file import load_pad
from lwd_actor.teleop_node import TeleopNodeConfig
from lwd_bringup.errors import ConfigError
from lwd_learner_bridge.uploader_node import UploaderConfig

OPERATOR = 'operator'
"""The scripted operator's pad."""
_SHARED = ('robot', 'backend', 'pad', 'spool', 'policy', 'shelf', 'store', 'keys')
"""Settings that hold for several nodes: they are said once, for all."""


@dataclass(frozen=True)
class Bringup:
    """What runs on one robot's machine."""

    robot: str = 'g1_01'
    """The robot's name and namespace: letters, digits and underscores."""
    domain: int = field(default=0, metadata={'range': (0, 101)})
    """ROS_DOMAIN_ID, whatever the shell exports: a fleet shares one, others must not use it."""
    local_only: bool = True
    """Whether nodes find each other on this machine only."""
    backend: str = field(default='sim', metadata={'choices': ('sim', 'sdk')})
    """sim: a simulated robot. sdk: the real one."""
    expert: bool = False
    """Drive a simulated robot with the task's scripted expert."""
    policy: str = ''
    """Drive with a policy: its folder, or the address of a server, ws://HOST:PORT."""
    shelf: str = ''
    """Follow a shelf of received policies, in this folder; `policy` is what to begin with."""
    pad: str = ''
    """Teleoperate with a pad: gamepad, spacemouse, or the path of a YAML file; empty: do not."""
    joy_node: bool = False
    """Start joy_node of the ROS distribution here, for a pad that is plugged in here."""
    operator: bool = False
    """Let the scripted operator watch a simulated robot, and take over with a pad of its own."""
    record: bool = False
    """Record episodes: on demand through start_episode and end_episode, or with recorder.auto one
    after the other."""
    spool: str = ''
    """Folder for recorded episodes, <spool>/<robot>/<episode>/; empty: ~/.ros/lwd/spool."""
    store: str = ''
    """Upload recorded episodes to here: a folder, or s3://bucket/prefix; empty: do not."""
    keys: str = ''
    """Receive policies over the network that this public key, or a folder of such, has signed;
    they go to `shelf`. Empty: do not receive any."""
    use_sim_time: bool = False
    """In lockstep: let rviz and robot_state_publisher run on the driver's simulated time."""
    rviz: bool = False
    """Open rviz and robot_state_publisher, where the distribution has them."""
    log_level: str = field(
        default='info', metadata={'choices': ('debug', 'info', 'warn', 'error', 'fatal')})
    """Of every node."""
    driver: DriverConfig = field(default_factory=DriverConfig)
    """Parameters of the driver node; its robot and backend are those above."""
    arbiter: ArbiterConfig = field(default_factory=ArbiterConfig)
    """Parameters of the arbiter; without a wait of its own it takes what suits driver.mode."""
    teleop: TeleopNodeConfig = field(default_factory=TeleopNodeConfig)
    """Parameters of the teleoperation node; its pad is that above."""
    recorder: RecorderConfig = field(default_factory=RecorderConfig)
    """Parameters of the recorder; spool, cameras and lockstep are those above."""
    policy_node: PolicyNodeConfig = field(default_factory=PolicyNodeConfig)
    """Parameters of the policy node; policy and shelf are those above, its mode the driver's."""
    receiver: ReceiverNodeConfig = field(default_factory=ReceiverNodeConfig)
    """Parameters of the policy receiver; shelf and keys are those above."""
    uploader: UploaderConfig = field(default_factory=UploaderConfig)
    """Parameters of the uploader; spool and store are those above."""
    markers: MarkersConfig = field(default_factory=MarkersConfig)
    """Parameters of the node that shows paths and texts in rviz."""
    sim_expert: ExpertConfig = field(default_factory=ExpertConfig)
    """Parameters of the scripted expert."""
    sim_operator: OperatorNodeConfig = field(default_factory=OperatorNodeConfig)
    """Parameters of the scripted operator."""


def complete(config: Bringup, given: Mapping[str, Any], where: str) -> Bringup:
    """Return a configuration with what holds for several nodes filled into each.

    Args:
        config: As read.
        given: The dotted names and values that were given.
        where: Their place, for errors.

    Raises:
        ConfigError: Settings that cannot be right together.
    """
    if not config.robot.replace('_', 'a').isalnum() or config.robot[:1].isdigit():
        raise ConfigError(
            f'{where}: robot is {config.robot!r}; use letters, digits and underscores, as in '
            'g1_01')
    for name in ('expert', 'operator'):
        if config.backend == 'sdk' and getattr(config, name):
            raise ConfigError(
                f'{where}: {name} is true, but the scripted {name} is for simulations only')
    if config.expert and (config.policy or config.shelf):
        raise ConfigError(
            f'{where}: expert is true, but there is a policy too, '
            f'{config.policy or config.shelf}; one of them drives')
    if config.keys and not config.shelf:
        raise ConfigError(
            f'{where}: keys is {config.keys!r}, but shelf is empty; say where policies that are '
            'received go')
    if config.store and not config.record:
        raise ConfigError(
            f'{where}: store is {config.store!r}, but record is false; there is nothing to upload')
    for key, value in given.items():
        section, _, name = key.partition('.')
        if name in _SHARED and hasattr(config, section) and value != getattr(config, name):
            raise ConfigError(
                f'{where}: {key} is {value!r}, but {name} is {getattr(config, name)!r}; '
                f'set {name} alone, it holds for every node')
    return _filled(config, where)


def _filled(config: Bringup, where: str) -> Bringup:
    pad = config.pad
    if config.operator:
        if pad not in ('', OPERATOR):
            raise ConfigError(
                f'{where}: operator is true, but pad is {pad!r}; the scripted operator has a pad '
                'of its own: leave pad empty, or operator false')
        pad = OPERATOR
    if pad:
        try:
            load_pad(pad)
        except PadError as error:
            raise ConfigError(f'{where}: pad: {error}') from error
    arbiter, teleop = config.arbiter, replace(
        config.teleop, pad=pad or config.teleop.pad)
    try:
        driver = replace(config.driver, robot=config.robot, backend=config.backend)
    except ValueError as error:
        raise ConfigError(f'{where}: driver: {error}') from error
    # Each in the chain waits a little less long than who waits for it.
    patience = driver.lockstep_timeout if driver.mode == LOCKSTEP else 0.0
    if arbiter.wait == 0.0:
        arbiter = replace(arbiter, wait=0.9 * patience)
    if config.operator and teleop.wait == 0.0:
        teleop = replace(teleop, wait=0.8 * patience, operator_id='oracle')
    if config.recorder.auto and not (config.record and config.backend == 'sim'):
        raise ConfigError(
            f'{where}: recorder.auto is true, but record is {str(config.record).lower()} and '
            f'backend {config.backend!r}; it records simulated robots, with record=true')
    spool = Path(config.spool).expanduser().absolute() if config.spool else default_spool()
    recorder = replace(
        config.recorder, robot=config.robot, spool=str(spool), cameras=driver.cameras.names,
        lockstep=driver.mode == LOCKSTEP)
    remote = config.policy.startswith(('ws://', 'wss://'))
    policy = replace(
        config.policy_node, robot=config.robot, mode=driver.mode, shelf=config.shelf,
        policy='' if remote else config.policy,
        remote=config.policy if remote else config.policy_node.remote)
    return replace(
        config, pad=pad, policy_node=policy, recorder=recorder, driver=driver,
        arbiter=replace(arbiter, robot=config.robot),
        teleop=replace(teleop, robot=config.robot),
        receiver=replace(
            config.receiver, robot=config.robot, shelf=config.shelf, keys=config.keys),
        uploader=replace(
            config.uploader, robot=config.robot, spool=str(spool), store=config.store),
        markers=replace(config.markers, robot=config.robot),
        sim_expert=replace(config.sim_expert, robot=config.robot),
        sim_operator=replace(config.sim_operator, robot=config.robot))
