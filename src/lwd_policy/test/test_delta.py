# SPDX-License-Identifier: Apache-2.0
import base64
import hashlib
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lwd_policy import delta
from lwd_policy.delta import encode, read_header
from lwd_policy.delta_blocks import BLOCK
from lwd_policy.delta_decode import decode
from lwd_policy.errors import DeltaError, WeightsError, WrongBaseError
from lwd_policy.weights_file import DTYPES, bits, version_of

ARCHITECTURE = {'width': 64}
FORMAT_1 = (
    'TFdEREVMVEFM4NNPNhAfmF63Ahkf7jUB6Xnd/YEDrXZIFdDzG6B9NxkBAAB7ImtpbmQiOiJkZWx0YSIsInJlYXNvbi'
    'I6IiIsImJhc2UiOiI1OWIzMjI0OTgxMDkyZWM0NzJhYTQyMDRjZGQyZWE5ZDhjNjg3NmY2ZGJkNzUyZDRhMWE4NzA4'
    'ZWU1ZGY0NWRhIiwidmVyc2lvbiI6IjMxZDRkZTliZjFjYjNjNTliM2JmMzhhNDdjNmMxOTQwNzFmMWY0NjZiNGVlOG'
    'NjYWIxMzM2NTM3NmE3YzU1ZjIiLCJhcmNoaXRlY3R1cmUiOnt9LCJ0ZW5zb3JzIjp7ImIiOlsiRjMyIixbNTBdLFtb'
    'InVscCIsMzddXV0sInciOlsiQkYxNiIsWzQxXSxbWyJ1bHAiLDM3XV1dfSwiZm9ybWF0IjoxfSi1L/0gyMwAAGD9Ag'
    'EEAAP/AP8A/wAEAIEIByIcLsLBLEUBAAAotS/9IBnIAABPISEAABISNDRDQyEhAA8SEkQzQwH95v9bAQAA')


def trained(tensors, *, size=2e-4, seed=1):
    """Return tensors a little way from some: a step of random size and sign for each value."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (tensor.float() + size * torch.randn(tensor.shape, generator=generator)).to(
            tensor.dtype) for name, tensor in tensors.items()}


def weights(dtype=torch.bfloat16, count=20_000):
    generator = torch.Generator().manual_seed(0)
    return {
        'trunk.weight': (0.05 * torch.randn(count // 100, 100, generator=generator)).to(dtype),
        'trunk.bias': torch.zeros(7, dtype=dtype),
        'scale': torch.tensor(1.0, dtype=dtype),
        'none': torch.empty(0, 3, dtype=dtype),
    }


def assert_same_bits(found, wanted):
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert np.array_equal(bits(found[name]), bits(tensor))


def sealed(data, *, header=None, body=None):
    """Return a delta with another header or other blocks, and a hash that fits them."""
    end = 44 + int.from_bytes(data[40:44], 'little')
    text = data[44:end] if header is None else json.dumps(header).encode()
    rest = len(text).to_bytes(4, 'little') + text + (data[end:] if body is None else body)
    return data[:8] + hashlib.sha256(rest).digest() + rest


def header_of(data):
    return json.loads(data[44:44 + int.from_bytes(data[40:44], 'little')])


@st.composite
def updates(draw):
    """Draw (base, new) of any bits, NaN of any payload among them."""
    base, new = {}, {}
    for name in draw(st.lists(st.text(max_size=3), max_size=4, unique=True)):
        dtype = draw(st.sampled_from(list(DTYPES)))
        kind = np.int32 if dtype.itemsize == 4 else np.int16
        shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
        before = draw(arrays.arrays(kind, shape))
        after = draw(st.one_of(
            st.just(before), arrays.arrays(kind, shape),
            arrays.arrays(kind, shape, elements=st.integers(-20, 20)).map(
                lambda step, before=before: np.asarray(before ^ step))))
        base[name], new[name] = (
            torch.from_numpy(array.copy()).view(dtype) for array in (before, after))
    return base, new


def test_a_delta_of_format_1_is_read_by_every_release():
    bases = {'b': torch.arange(50, dtype=torch.int32) * 40_000_003,
             'w': torch.arange(41, dtype=torch.int16) * 3001}
    news = {name: base + base % 5 - 2 for name, base in bases.items()}
    news['w'][7] = -3
    base, new = ({'b': tensors['b'].view(torch.float32), 'w': tensors['w'].view(torch.bfloat16)}
                 for tensors in (bases, news))
    data = base64.b64decode(FORMAT_1)
    assert_same_bits(decode(base, data), new)


@settings(deadline=None, max_examples=150)
@given(updates())
def test_any_bits_come_back(update):
    base, new = update
    kept = {name: tensor.clone() for name, tensor in base.items()}
    data = encode(base, new, architecture=ARCHITECTURE)
    assert_same_bits(decode(base, data), new)
    assert_same_bits(base, kept)
    header = read_header(data)
    assert header.version == version_of(new, ARCHITECTURE)
    assert header.architecture == ARCHITECTURE
    assert_same_bits(decode(None, encode(None, new, architecture=ARCHITECTURE)), new)


@pytest.mark.parametrize('dtype', list(DTYPES))
def test_every_sixteen_bit_pattern_survives_against_every_neighbourhood(dtype):
    pattern = torch.arange(-2**15, 2**15).to(torch.int16)
    if dtype.itemsize == 4:
        pattern = pattern.int() << 16
    base = {'a': pattern.view(dtype)}
    for turn in (1, 2, 7, 15, 16, 1000, 2**15):
        new = {'a': pattern.roll(turn).view(dtype)}
        assert_same_bits(decode(base, encode(base, new, architecture={})), new)


@pytest.mark.parametrize(('dtype', 'share'), [
    (torch.bfloat16, 0.30), (torch.float16, 0.55), (torch.float32, 0.70)])
def test_a_small_step_makes_a_small_delta(dtype, share):
    base = weights(dtype, count=200_000)
    new = trained(base)
    data = encode(base, new, architecture=ARCHITECTURE)
    assert_same_bits(decode(base, data), new)
    header = read_header(data)
    assert (header.kind, header.reason) == ('delta', '')
    assert header.base == version_of(base, ARCHITECTURE)
    assert len(data) < share * sum(tensor.nbytes for tensor in new.values())
    assert len(data) < len(encode(None, new, architecture=ARCHITECTURE))


def test_a_tensor_may_have_many_blocks():
    base = {'a': 0.05 * torch.ones(2 * BLOCK + 3).bfloat16()}
    new = trained(base)
    new['a'][BLOCK:2 * BLOCK] = base['a'][BLOCK:2 * BLOCK]
    data = encode(base, new, architecture={})
    assert_same_bits(decode(base, data), new)
    assert [method for method, _ in read_header(data).tensors['a'][2]] == ['ulp', 'same', 'ulp']


def test_the_same_weights_make_a_tiny_delta():
    base = weights(count=1_000_000)
    data = encode(base, base, architecture=ARCHITECTURE)
    assert read_header(data).kind == 'delta'
    assert len(data) < 1000
    found = decode(base, data)
    assert_same_bits(found, base)
    found['trunk.bias'] += 1
    assert not base['trunk.bias'].any()


def test_parameters_and_transposed_tensors_are_encoded_as_they_read():
    base = {'a': torch.nn.Parameter(torch.randn(30, 20).t())}
    new = {'a': torch.nn.Parameter((base['a'] + 1e-6).detach())}
    found = decode(base, encode(base, new, architecture={}))
    assert torch.equal(found['a'], new['a'])


@pytest.mark.parametrize(('change', 'reason'), [
    (lambda new: new.pop('scale'), r"'scale' is BF16 \[\] in the base and absent"),
    (lambda new: new.update(extra=torch.ones(2)), r"'extra' is absent in the base and F32 \[2\]"),
    (lambda new: new.update(none=torch.empty(3, 0).bfloat16()), r"'none' is BF16 \[0, 3\].*3, 0"),
    (lambda new: new.update(scale=torch.tensor(1.0)), r"'scale' is BF16 \[\].* F32 \[\]"),
])
def test_tensors_that_do_not_fit_the_base_make_it_full_and_say_so(change, reason):
    base, new = weights(), weights()
    change(new)
    data = encode(base, new, architecture=ARCHITECTURE)
    header = read_header(data)
    assert (header.kind, header.base) == ('full', '')
    assert re.search(reason, header.reason)
    assert_same_bits(decode(None, data), new)
    assert_same_bits(decode(base, data), new)


def test_without_a_base_it_is_full():
    header = read_header(encode(None, weights(), architecture=ARCHITECTURE))
    assert (header.kind, header.reason) == ('full', 'there is no base')


@pytest.mark.parametrize('dtype', list(DTYPES))
def test_a_difference_that_is_not_smaller_makes_it_full(dtype):
    rng = np.random.default_rng(0)
    kind = np.int32 if dtype.itemsize == 4 else np.int16
    info = np.iinfo(kind)
    base, new = (
        {'a': torch.from_numpy(rng.integers(info.min, info.max, 5000, kind)).view(dtype)}
        for _ in range(2))
    data = encode(base, new, architecture={})
    header = read_header(data)
    assert (header.kind, header.base) == ('full', '')
    assert 'smaller' in header.reason
    assert_same_bits(decode(None, data), new)


def test_a_wrong_base_is_an_error():
    base = weights()
    data = encode(base, trained(base), architecture=ARCHITECTURE)
    other = trained(base, seed=2)
    with pytest.raises(WrongBaseError, match=(
            rf'needs version {version_of(base, ARCHITECTURE)}; '
            rf'the given base is {version_of(other, ARCHITECTURE)}')):
        decode(other, data)
    with pytest.raises(WrongBaseError, match='there is no base; fetch the full'):
        decode(None, data)
    with pytest.raises(WrongBaseError, match=r"'scale' BF16 \[\]; the given base has none"):
        decode({name: base[name] for name in base if name != 'scale'}, data)
    with pytest.raises(WrongBaseError, match=r"'scale' BF16 \[\]; .* has torch.float32 \[\]"):
        decode({**base, 'scale': torch.tensor(1.0)}, data)
    with pytest.raises(WrongBaseError, match=r"'scale' BF16 \[\]; .* has torch.int64 \[\]"):
        decode({**base, 'scale': torch.tensor(1)}, data)


def test_a_wrong_base_with_more_than_weights_is_still_called_a_wrong_base():
    base = weights()
    data = encode(base, trained(base), architecture=ARCHITECTURE)
    more = {**base, 'steps': torch.tensor(1)}
    assert_same_bits(decode(more, data), trained(base))
    with pytest.raises(WrongBaseError, match="given base is none at all: tensor 'steps'"):
        decode({**trained(base, seed=2), 'steps': torch.tensor(1)}, data)


def test_one_bit_of_the_base_is_enough():
    base = weights()
    data = encode(base, trained(base), architecture=ARCHITECTURE)
    flipped = {name: tensor.clone() for name, tensor in base.items()}
    flipped['trunk.weight'].view(torch.int16)[3, 5] ^= 1
    with pytest.raises(WrongBaseError):
        decode(flipped, data)


def test_a_flipped_bit_is_an_error_wherever_it_is():
    base = weights(count=500)
    data = encode(base, trained(base), architecture=ARCHITECTURE)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(DeltaError, match=r'cut or changed|no delta'):
            decode(base, bytes(damaged))


def test_a_cut_or_longer_delta_is_an_error_at_every_length():
    base = weights(count=500)
    data = encode(base, trained(base), architecture=ARCHITECTURE)
    for length in range(len(data)):
        with pytest.raises(DeltaError, match=r'cut or changed|no delta'):
            decode(base, data[:length])
    with pytest.raises(DeltaError, match='cut or changed'):
        decode(base, data + b'\0')


@pytest.mark.parametrize('dtype', list(DTYPES))
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_blocks_that_were_made_wrongly_never_give_wrong_weights(dtype, draw):
    base = weights(dtype, count=500)
    data = encode(base, trained(base), architecture=ARCHITECTURE)
    start = 44 + len(json.dumps(header_of(data), separators=(',', ':')))
    body = bytearray(data[start:])
    at = draw.draw(st.integers(0, len(body) - 1))
    body[at] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        found = decode(base, sealed(data, body=bytes(body)))
    except DeltaError:
        return
    # A bit that zstd does not look at.
    assert_same_bits(found, trained(base))


@pytest.mark.parametrize('change', [
    lambda header: header.update(format='new'),
    lambda header: header.pop('version'),
    lambda header: header.update(tensors=[]),
    lambda header: header.update(version='ab' * 32),
    lambda header: header.update(architecture={'width': 65}),
    lambda header: header.update(kind='full'),
    lambda header: header['tensors'].pop('scale'),
    lambda header: header['tensors'].update(scale=['I64', [], []]),
    lambda header: header['tensors']['none'].__setitem__(1, [2**70, 0]),
    lambda header: header['tensors']['trunk.weight'][2].clear(),
    lambda header: header['tensors']['trunk.weight'][2][0].__setitem__(0, 'xor'),
    lambda header: header['tensors']['trunk.weight'][2][0].__setitem__(0, 'raw'),
    lambda header: header['tensors']['trunk.weight'][2][0].__setitem__(0, 'same'),
    lambda header: header['tensors']['trunk.weight'][2][0].__setitem__(1, 3),
    lambda header: header['tensors']['trunk.weight'][2][0].__setitem__(1, 'all'),
])
def test_a_header_that_was_made_wrongly_is_an_error(change):
    base = weights(count=500)
    data = encode(base, trained(base), architecture=ARCHITECTURE)
    header = header_of(data)
    change(header)
    with pytest.raises(DeltaError, match='fetch the full weights'):
        decode(base, sealed(data, header=header))


@pytest.mark.parametrize('shape', [[2**40], [-1], [2**31, 2**31], [2**70]])
def test_a_shape_that_its_blocks_do_not_fill_takes_no_memory(shape):
    data = encode(None, {'a': torch.ones(8)}, architecture={})
    header = header_of(data)
    header['tensors']['a'][1] = shape
    with pytest.raises(DeltaError, match='cannot be decoded'):
        decode(None, sealed(data, header=header))


def test_a_newer_format_is_refused():
    data = encode(None, weights(), architecture=ARCHITECTURE)
    header = {**header_of(data), 'format': delta.FORMAT_VERSION + 1, 'codec': 'better'}
    with pytest.raises(DeltaError, match=r'is of format 2, .* up to 1; update LWD'):
        decode(None, sealed(data, header=header))


def test_what_is_no_delta_is_refused():
    for data in (b'', b'LWD', b'\0' * 100):
        with pytest.raises(DeltaError, match='it is no delta'):
            read_header(data)


def test_a_type_that_weights_do_not_have_is_refused():
    with pytest.raises(WeightsError, match=r"'steps' is of type torch.int64"):
        encode(None, {'steps': torch.tensor(1)}, architecture={})


def test_a_chain_of_deltas_ends_where_the_learner_is():
    held = learned = weights()
    for seed in range(5):
        after = trained(learned, seed=seed)
        held = decode(held, encode(learned, after, architecture=ARCHITECTURE))
        learned = after
    assert_same_bits(held, learned)
