# SPDX-License-Identifier: Apache-2.0
"""A delta from weights file to weights file gives the version that was encoded, or an error."""

from __future__ import annotations

import errno
import io
import os

import pytest
import torch

from lwd_policy import delta_decode
from lwd_policy.delta import encode
from lwd_policy.delta_base import FileBase
from lwd_policy.delta_blocks import BLOCK
from lwd_policy.delta_decode import decode_file
from lwd_policy.errors import DeltaError, WeightsError, WrongBaseError
from lwd_policy.weights_file import to_bytes, version_of

ARCHITECTURE = {'width': 3}


def weights(seed, count=5000):
    generator = torch.Generator().manual_seed(seed)
    base = 0.05 * torch.randn(count, generator=torch.Generator().manual_seed(9))
    return {
        # In the file the wider type comes first, in the delta the first name.
        'a': (base + 1e-4 * seed * torch.randn(count, generator=generator)).bfloat16(),
        'b': torch.full((3, 2), float(seed)), 'none': torch.empty(0, 3), 'same': torch.ones(4)}


@pytest.fixture
def base(tmp_path):
    path = tmp_path / 'base'
    path.write_bytes(to_bytes(weights(0), ARCHITECTURE))
    return path


def made(new, old=None):
    old = weights(0) if old is None else old
    return memoryview(encode(old, new, architecture=ARCHITECTURE))


@pytest.mark.parametrize('few', [0, 1 << 30])
def test_file_is_that_of_the_version(tmp_path, monkeypatch, few):
    monkeypatch.setattr(delta_decode, '_FEW', few)
    monkeypatch.setattr(delta_decode, '_AHEAD', 2)
    before, after = weights(0, 3 * BLOCK + 5), weights(1, 3 * BLOCK + 5)
    (tmp_path / 'base').write_bytes(to_bytes(before, ARCHITECTURE))
    out = io.BytesIO()
    assert decode_file(tmp_path / 'base', made(after, before), out) == (
        version_of(after, ARCHITECTURE))
    assert out.getvalue() == to_bytes(after, ARCHITECTURE)


def test_full_weights_need_no_base(base):
    data = memoryview(encode(None, weights(1), architecture=ARCHITECTURE))
    for place in (None, base):
        out = io.BytesIO()
        decode_file(place, data, out)
        assert out.getvalue() == to_bytes(weights(1), ARCHITECTURE)


def test_wrong_bases_are_called_so(base, tmp_path):
    data = made(weights(1))
    with pytest.raises(WrongBaseError, match='there is no base'):
        decode_file(None, data, io.BytesIO())
    with pytest.raises(WrongBaseError, match='base, which the delta applies to, cannot be read'):
        decode_file(tmp_path / 'no' / 'base', data, io.BytesIO())
    content = base.read_bytes()
    base.write_bytes(content[:-1])
    with pytest.raises(WrongBaseError, match=r'no whole safetensors.*fetch the full weights'):
        decode_file(base, data, io.BytesIO())
    flipped = bytearray(content)
    flipped[-1] ^= 1
    base.write_bytes(flipped)
    with pytest.raises(WrongBaseError, match=(
            f'needs version {version_of(weights(0), ARCHITECTURE)}; the given base is')):
        decode_file(base, data, io.BytesIO())
    base.write_bytes(to_bytes({**weights(0), 'b': torch.ones(2, 3)}, ARCHITECTURE))
    with pytest.raises(WrongBaseError, match=r"tensor 'b' F32 \[3, 2\]; .* has .*\[2, 3\]"):
        decode_file(base, data, io.BytesIO())


def test_a_disk_that_fails_under_the_base_asks_for_the_full_weights(base, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, 'Input/output error')

    monkeypatch.setattr(os, 'preadv', broken)
    with pytest.raises(WrongBaseError, match=r'Input/output error.*fetch the full'):
        decode_file(base, made(weights(1)), io.BytesIO())
    with FileBase(base) as opened:
        assert opened.kind('b')[1] == (3, 2)
        assert opened.kind('c') is None


def test_what_is_not_finite_is_refused_and_a_wrong_base_is_not_called_that(base):
    wild = weights(1)
    wild['a'][17] = float('inf')
    with pytest.raises(WeightsError, match="tensor 'a' has values that are not finite"):
        decode_file(base, made(wild), io.BytesIO())
    broken = weights(0)
    broken['a'][:] = float('nan')
    base.write_bytes(to_bytes(broken, ARCHITECTURE))
    with pytest.raises(WrongBaseError):
        decode_file(base, made(weights(1)), io.BytesIO())


def test_every_changed_block_is_noticed(base):
    data = made(weights(1))
    start = 44 + int.from_bytes(data[40:44], 'little')
    for at in range(start, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 64
        out = io.BytesIO()
        try:
            decode_file(base, memoryview(damaged), out)
        except DeltaError:
            continue
        # A bit that zstd does not look at.
        assert out.getvalue() == to_bytes(weights(1), ARCHITECTURE)
