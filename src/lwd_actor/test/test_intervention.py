# SPDX-License-Identifier: Apache-2.0
from lwd_actor.intervention import InterventionLog
from lwd_actor.reasons import Reason
from lwd_msgs.msg import Intervention


def test_the_reasons_are_those_of_the_message():
    assert {item.name: item.value for item in Reason} == {
        name.removeprefix('REASON_'): getattr(Intervention, name)
        for name in dir(Intervention) if name.startswith('REASON_')}


def tell(log, tick, active, reason=Reason.OPERATOR, episode='e1'):
    return log.update(active=active, reason=reason if active else Reason.NONE,
                      episode_id=episode, now_ns=100 * tick)


def test_an_intervention_keeps_its_number_from_take_over_to_hand_back():
    log = InterventionLog()
    first = tell(log, 0, False)
    assert (first.active, first.number, first.begin_ns) == (False, 0, 0)
    begun = tell(log, 1, True)
    assert (begun.active, begun.number, begun.begin_ns, begun.end_ns) == (True, 1, 100, 0)
    why = tell(log, 2, True, Reason.DROPPED)
    assert (why.reason, why.number, why.begin_ns) == (Reason.DROPPED, 1, 100)
    over = tell(log, 3, False, episode='e2')
    assert (over.active, over.number, over.begin_ns, over.end_ns) == (False, 1, 100, 300)
    assert (over.reason, over.episode_id) == (Reason.DROPPED, 'e1')
    again = tell(log, 4, True, episode='e2')
    assert (again.number, again.begin_ns, again.end_ns, again.episode_id) == (2, 400, 0, 'e2')


def test_it_is_told_on_change_and_every_third_tick():
    log = InterventionLog()
    told = [tell(log, i, i >= 5) is not None for i in range(12)]
    assert told == [True, False, False, True, False, True, False, False, True, False, False, True]
