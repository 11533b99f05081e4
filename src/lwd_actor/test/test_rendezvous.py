# SPDX-License-Identifier: Apache-2.0
from lwd_actor.rendezvous import Rendezvous


def test_who_is_there_is_waited_for_until_heard_for_the_tick():
    rendezvous = Rendezvous()
    wanted = {'teleop': 5, 'policy': 5}
    assert rendezvous.missing(wanted) == []
    rendezvous.expect('policy', True)
    rendezvous.hear('teleop', 4)
    assert rendezvous.missing(wanted) == ['teleop', 'policy']
    rendezvous.hear('teleop', 5)
    rendezvous.hear('policy', 6)
    assert rendezvous.missing(wanted) == []


def test_who_let_a_tick_pass_is_waited_for_again_and_named_until_heard():
    rendezvous = Rendezvous()
    rendezvous.expect('policy', True)
    rendezvous.go_on({'policy': 5})
    assert rendezvous.silent == ['policy']
    assert rendezvous.missed == {'policy': 1}
    assert rendezvous.missing({'policy': 6}) == ['policy']
    rendezvous.hear('policy', 5)
    assert rendezvous.silent == []
    assert rendezvous.missing({'policy': 6}) == ['policy']
    rendezvous.expect('policy', False)
    assert rendezvous.missing({'policy': 6}) == []


def test_numbers_that_begin_anew_are_waited_for_anew():
    rendezvous = Rendezvous()
    rendezvous.hear('policy', 900)
    assert rendezvous.missing({'policy': 0}) == []
    rendezvous.start_over()
    assert rendezvous.missing({'policy': 0}) == ['policy']
