# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from contextlib import contextmanager

import pytest
import rclpy
from rclpy.context import Context

from lwd_bringup import domains
from lwd_bringup.domains import claim_nodes, free_domain, heard
from lwd_bringup.errors import BringupError
from lwd_bringup.nodes import NodeSpec

NODES = [NodeSpec('g1_driver', 'driver', 'driver', '/g1_01'),
         NodeSpec('lwd_learner_bridge', 'learner', 'learner', '/lwd')]
OTHER = [NodeSpec('g1_driver', 'driver', 'driver', '/g1_02')]


@contextmanager
def process(code):
    """Run code in another process until the block ends; yields what it prints first."""
    other = subprocess.Popen([sys.executable, '-c', code], text=True, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        yield other.stdout.readline().strip()
    finally:
        other.kill()
        other.communicate()


@pytest.fixture(autouse=True)
def own_claims(monkeypatch):
    monkeypatch.setattr(domains, '_claims', {})
    yield
    for claim in domains._claims.values():
        claim.close()


def test_demos_that_run_together_have_domains_of_their_own(monkeypatch):
    code = ('import sys, os\nfrom lwd_bringup import domains\nos.getpid = lambda: 5\n'
            'print(domains.free_domain(), flush=True)\nsys.stdin.read()')
    monkeypatch.setattr('os.getpid', lambda: 5)
    with process(code) as one, process(code) as two:
        mine = [free_domain(), free_domain()]
        assert len({int(one), int(two), *mine}) == 4
        assert all(70 <= domain <= 101 for domain in mine)
    monkeypatch.setattr(domains, '_DOMAINS', 2)
    monkeypatch.setattr(domains, '_FIRST_DOMAIN', mine[0])
    monkeypatch.setattr(domains, '_claim', lambda name: False)
    with pytest.raises(BringupError, match='every ROS domain from'):
        free_domain()


def test_a_robot_that_another_command_runs_here_is_refused_at_once(ros_domain, monkeypatch):
    monkeypatch.setattr(domains, 'heard', lambda domain: [])
    code = ('import sys\nfrom lwd_bringup import domains\n'
            f'print(domains._claim("domain {ros_domain} /g1_01"), flush=True)\n'
            'sys.stdin.read()')
    with process(code) as said:
        assert said == 'True'
        with pytest.raises(BringupError, match=rf'domain {ros_domain} has /g1_01 .*domain=N'):
            claim_nodes(ros_domain, NODES)
        # Another robot of the same fleet, and the same robot in another fleet.
        claim_nodes(ros_domain, OTHER)
        claim_nodes((ros_domain + 1) % 40, NODES)
    claim_nodes(ros_domain, NODES)
    claim_nodes(ros_domain, NODES)


def test_a_fleet_is_heard_whoever_started_it(ros_domain):
    context = Context()
    rclpy.init(context=context, domain_id=ros_domain)
    try:
        driver = rclpy.create_node('driver', namespace='/g1_01', context=context)
        assert '/g1_01/driver' in heard(ros_domain, 5.0)
        claim_nodes(ros_domain, OTHER)
        driver.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
