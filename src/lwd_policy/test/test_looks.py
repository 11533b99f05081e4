# SPDX-License-Identifier: Apache-2.0
import torch

from lwd_policy.looks import PALETTE, mentioned, named

RED, BLUE = PALETTE['red'], PALETTE['blue']


def matches(instruction, colours, shapes, there=None):
    there = torch.ones(1, len(colours), dtype=torch.bool) if there is None else there
    shapes = None if shapes is None else torch.tensor([shapes])
    return named(torch.tensor([colours]), shapes, mentioned([instruction]), there)[0]


def test_colour_and_shape_together_tell_the_red_can_from_a_red_carton_and_a_blue_can():
    found = matches('take the red can', [RED, RED, BLUE], [1.0, 0.0, 1.0])
    colour, both = found[:, 0], found[:, 2]
    assert colour[0] > 0.9
    assert colour[1] > 0.9
    assert colour[2] < 0.1
    assert both[0] > 0.9
    assert both[1] == 0.0
    assert both[2] < 0.1
    torch.testing.assert_close(found[:, 3], both - both[0])


def test_without_a_word_for_a_shape_or_a_known_shape_only_the_colour_counts():
    for instruction, shapes in (('take the red one', [1.0, 0.0]), ('take the red can', None)):
        found = matches(instruction, [RED, RED], shapes)
        torch.testing.assert_close(found[:, :2], found[:, 2:])


def test_both_words_of_a_colour_and_plurals_count():
    torch.testing.assert_close(mentioned(['violet tins']), mentioned(['purple can']))


def test_places_that_are_empty_match_nothing():
    found = matches('the red can', [RED, RED], [1.0, 1.0], torch.tensor([[True, False]]))
    assert torch.all(found[1] == 0.0)
