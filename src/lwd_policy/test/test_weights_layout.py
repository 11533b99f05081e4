# SPDX-License-Identifier: Apache-2.0
"""Weights files are read as safetensors reads them, or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from lwd_policy.errors import WeightsError
from lwd_policy.weights import version
from lwd_policy.weights_file import all_finite, bits, from_bytes, read, to_bytes, view
from lwd_policy.weights_layout import DTYPES
from lwd_policy.weights_scan import scan

TENSORS = {'a': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(5).bfloat16(),
           'none': torch.empty(0, 2), 'one': torch.tensor(2.0).half()}
DATA = to_bytes(TENSORS, {'width': 2})
START = 8 + int.from_bytes(DATA[:8], 'little')


def with_header(change):
    header = json.loads(DATA[8:START])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, 'little') + text + DATA[START:]


@pytest.mark.parametrize('change', [
    lambda header: header['a'].update(shape=[6]),
    lambda header: header.update({'z': header.pop('b')}),
    lambda header: header['a'].update(shape=[-2, -3]),
    lambda header: header['a'].update(shape=[2.0, 3.0]),
    lambda header: header['a'].update(shape=[2, 4]),
    lambda header: header['a'].update(shape=None),
    lambda header: header['a'].update(dtype='BF16'),
    lambda header: header['a'].update(dtype=['F32']),
    lambda header: header['a'].pop('dtype'),
    lambda header: header['a'].update(data_offsets=[0]),
    lambda header: header['a'].update(data_offsets=[4, 28]),
    lambda header: header['a'].update(data_offsets=[-24, 0]),
    lambda header: header['b'].update(data_offsets=[0, 10]),
    lambda header: header.pop('a'),
    lambda header: header.pop('one'),
    lambda header: header.update(extra={
        'dtype': 'F32', 'shape': [2], 'data_offsets': [36, 44]}),
])
def test_headers_are_taken_and_refused_as_safetensors_does(change):
    data = with_header(change)
    try:
        wanted = safetensors.torch.load(data)
    except (SafetensorError, TypeError):
        with pytest.raises(WeightsError, match='here is no whole safetensors file'):
            from_bytes(data, where='here')
        return
    found, architecture = from_bytes(data, where='here')
    assert architecture == {'width': 2}
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert torch.equal(found[name], wanted[name])


@settings(deadline=None, max_examples=200)
@given(st.integers(0, START - 1), st.integers(1, 255))
def test_a_changed_header_never_gives_what_safetensors_would_not(at, change):
    data = bytearray(DATA)
    data[at] ^= change
    try:
        found, _ = from_bytes(bytes(data), where='here')
    except WeightsError:
        return
    wanted = safetensors.torch.load(bytes(data))
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert torch.equal(found[name], wanted[name])


def test_tensors_of_memory_that_can_be_written_are_views_of_it():
    data = bytearray(DATA)
    found, _ = from_bytes(memoryview(data), where='here')
    found['a'][0, 0] = 7.0
    assert data != DATA
    found, _ = from_bytes(DATA, where='here')
    found['a'][0, 0] = 7.0
    assert torch.equal(from_bytes(DATA, where='here')[0]['a'], TENSORS['a'])


@pytest.mark.parametrize('how', [read, view])
def test_what_is_read_can_be_changed_without_the_file(tmp_path, how):
    path = tmp_path / 'file'
    path.write_bytes(DATA)
    data = how(path)
    assert data == DATA
    data[0] ^= 1
    assert path.read_bytes() == DATA
    with pytest.raises(OSError, match='No such file'):
        how(tmp_path / 'other')


@pytest.mark.parametrize('dtype', list(DTYPES))
def test_every_bit_pattern_is_found_finite_or_not(dtype):
    patterns = torch.arange(-2**15, 2**15).to(torch.int16)
    if dtype.itemsize == 4:
        patterns = torch.cat([patterns.int() << 16, (patterns.int() << 16) | 0xFFFF])
    values = patterns.view(dtype)
    finite = torch.isfinite(values)
    each = bits(values).reshape(-1, 1)
    assert [all_finite(one, dtype) for one in each] == finite.tolist()
    assert all_finite(bits(values[finite]), dtype)
    assert not all_finite(bits(values), dtype)
    assert all_finite(np.empty(0, each.dtype), dtype)


@pytest.mark.parametrize('count', [5, 3_000_001])
def test_a_scan_gives_the_version_of_finite_weights(tmp_path, count):
    tensors = {'a': torch.ones(count).bfloat16(), 'b': torch.zeros(7), 'none': torch.empty(0)}
    path = tmp_path / 'file'
    data = bytearray(to_bytes(tensors, {}))
    path.write_bytes(data)
    assert scan(path) == version(path)
    tensors['a'][-1] = float('nan')
    path.write_bytes(to_bytes(tensors, {}))
    with pytest.raises(WeightsError, match=r"file: tensor 'a' has values that are not finite"):
        scan(path)
    path.write_bytes(data[:-1])
    with pytest.raises(WeightsError, match='file is no whole safetensors'):
        scan(path)
    path.write_bytes(b'')
    with pytest.raises(WeightsError, match='file is no whole safetensors'):
        scan(path)
