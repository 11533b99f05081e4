# SPDX-License-Identifier: Apache-2.0
import json
import os
import struct
from dataclasses import replace

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lwd_policy.card import PolicyCard, PolicyLayout
from lwd_policy.errors import CardError, WeightsError
from lwd_policy.weights import CARD_FILE, WEIGHTS_FILE, load, save, version
from lwd_policy.weights_file import DTYPES, from_bytes, to_bytes, version_of

ARCHITECTURE = {'width': 64, 'heads': [4, 4], 'act': 'gelu'}


def weights():
    generator = torch.Generator().manual_seed(0)
    return {
        'trunk.weight': torch.randn(6, 3, generator=generator).bfloat16(),
        'scale': torch.tensor(2.5),
        'head.weight': torch.randn(5, generator=generator),
        'head.bias': torch.randn(3, generator=generator).half(),
        'none': torch.empty(0, 4),
    }


def card(**changes):
    values = {
        'name': 'restock', 'architecture': ARCHITECTURE, 'observation': 'scene',
        'layout': PolicyLayout(('torso_lift',), 30, 'scene-1'), 'algorithm': 'bc',
        'command': 'lwd train', 'seed': 3, **changes}
    return PolicyCard(**values)


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_policy_survives_the_way_to_disk(tmp_path):
    folder = tmp_path / 'policies' / 'one'
    saved = save(folder, weights(), card())
    found, read = load(folder)
    assert_same(found, weights())
    assert read == saved
    assert saved.version == version(folder) == version(folder / WEIGHTS_FILE)
    assert saved.version == version((folder / WEIGHTS_FILE).read_bytes())
    assert saved.tensors['trunk.weight'] == 'BF16 [6, 3]'
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, WEIGHTS_FILE]
    assert [path.name for path in folder.parent.iterdir()] == ['one']


def test_the_architecture_comes_back_as_json_has_it(tmp_path):
    saved = save(tmp_path / 'one', weights(), card(architecture={'heads': (4, 4), 'at': {1: 2}}))
    assert saved.architecture == {'heads': [4, 4], 'at': {'1': 2}}
    assert load(tmp_path / 'one')[1] == saved


def test_safetensors_reads_the_file(tmp_path):
    save(tmp_path / 'one', weights(), card())
    path = tmp_path / 'one' / WEIGHTS_FILE
    assert_same(safetensors.torch.load_file(path), weights())
    with safetensors.safe_open(path, 'pt') as file:
        assert json.loads(file.metadata()['architecture']) == ARCHITECTURE


def test_the_bytes_are_those_of_every_release():
    # Spelled out: another layout would give every policy a second version.
    tensors = {'b': torch.tensor([1.0, -2.0]).bfloat16(), 'a': torch.tensor(0.5)}
    header = (b'{"__metadata__":{"architecture":"{\\"width\\":2}"},'
              b'"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},'
              b'"b":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]}}')
    header += b' ' * (-len(header) % 8)
    assert to_bytes(tensors, {'width': 2}) == (
        struct.pack('<Q', len(header)) + header + struct.pack('<fHH', 0.5, 0x3F80, 0xC000))


def test_a_version_follows_from_content_alone():
    one = weights()
    two = {name: torch.nn.Parameter(one[name]) for name in reversed(one)}
    two['trunk.weight'] = one['trunk.weight'].t().contiguous().t()
    mixed = dict(reversed(ARCHITECTURE.items()))
    assert to_bytes(one, ARCHITECTURE) == to_bytes(two, mixed)
    assert version_of(two, mixed) == version(to_bytes(one, ARCHITECTURE))


@pytest.mark.parametrize('change', [
    lambda tensors, _: tensors['scale'].add_(1),
    lambda tensors, _: tensors.update(head=tensors.pop('scale')),
    lambda tensors, _: tensors.update(none=torch.empty(4, 0)),
    lambda tensors, _: tensors.update(none=torch.empty(0, 4).half()),
    lambda _, architecture: architecture.update(act='relu'),
])
def test_a_version_covers_values_names_shapes_types_and_architecture(change):
    tensors, architecture = weights(), dict(ARCHITECTURE)
    before = version_of(tensors, architecture)
    change(tensors, architecture)
    assert version_of(tensors, architecture) != before


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(
    st.text(max_size=8),
    st.tuples(st.sampled_from(list(DTYPES)), st.lists(st.integers(0, 4), max_size=3))))
def test_any_names_types_and_shapes_come_back(kinds):
    tensors = {name: torch.ones(shape, dtype=dtype) for name, (dtype, shape) in kinds.items()}
    data = to_bytes(tensors, ARCHITECTURE)
    found, architecture = from_bytes(data, where='here')
    assert_same(found, tensors)
    assert architecture == ARCHITECTURE
    assert (8 + int.from_bytes(data[:8], 'little')) % 8 == 0


def test_another_version_is_never_overwritten(tmp_path):
    first = save(tmp_path / 'one', weights(), card())
    with pytest.raises(WeightsError, match=rf'holds version {first.version}, not .*another'):
        save(tmp_path / 'one', {'scale': torch.ones(1)}, card())
    assert load(tmp_path / 'one')[1] == first


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / 'one').mkdir()
    (tmp_path / 'one' / 'thesis.tex').write_text('years')
    with pytest.raises(WeightsError, match='one cannot be written'):
        save(tmp_path / 'one', weights(), card())
    assert [path.name for path in tmp_path.rglob('*')] == ['one', 'thesis.tex']


def test_the_same_version_may_get_a_new_card(tmp_path):
    first = save(tmp_path / 'one', weights(), card())
    second = save(tmp_path / 'one', weights(), replace(first, metrics={'success': 0.9}))
    assert second.version == first.version
    assert load(tmp_path / 'one')[1].metrics == {'success': 0.9}
    assert len(list((tmp_path / 'one').iterdir())) == 2


def full(_):
    raise OSError(28, 'No space left on device')


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(WeightsError, match=r'one cannot be written.*No space left'):
        save(tmp_path / 'one', weights(), card())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_card(tmp_path, monkeypatch):
    first = save(tmp_path / 'one', weights(), card())
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(WeightsError, match='No space left'):
        save(tmp_path / 'one', weights(), card(notes='new'))
    assert load(tmp_path / 'one')[1] == first
    assert len(list((tmp_path / 'one').iterdir())) == 2


def test_a_card_of_another_version_is_not_saved(tmp_path):
    parent = save(tmp_path / 'one', weights(), card())
    trained = {**weights(), 'scale': torch.tensor(3.0)}
    with pytest.raises(WeightsError, match=rf'card is of version {parent.version}.*child'):
        save(tmp_path / 'two', trained, parent)
    assert save(tmp_path / 'two', trained, parent.child()).parent == parent.version


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('dtype', list(DTYPES))
def test_values_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path, value, dtype):
    bad = {'head': torch.tensor([1.0, value, value], dtype=dtype)}
    with pytest.raises(WeightsError, match=r"one: tensor 'head' has 2 of 3 .* not finite"):
        save(tmp_path / 'one', bad, card())
    assert list(tmp_path.iterdir()) == []
    saved = save(tmp_path / 'one', {'head': torch.ones(3, dtype=dtype)}, card())
    (tmp_path / 'one' / WEIGHTS_FILE).write_bytes(to_bytes(bad, ARCHITECTURE))
    edit(tmp_path / 'one' / CARD_FILE, version=version_of(bad, ARCHITECTURE))
    assert saved.version != version(tmp_path / 'one')
    with pytest.raises(WeightsError, match=rf"{WEIGHTS_FILE}: tensor 'head' has 2 of 3"):
        load(tmp_path / 'one')


def test_a_type_that_weights_do_not_have_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"'steps' is of type torch.int64.*persistent=False"):
        save(tmp_path / 'one', {'steps': torch.tensor(3)}, card())
    data = safetensors.torch.save(
        {'steps': torch.tensor(3)}, {'architecture': json.dumps(ARCHITECTURE)})
    with pytest.raises(WeightsError, match=r"here: tensor 'steps' is of type I64"):
        from_bytes(data, where='here')


def test_names_and_architectures_that_a_file_cannot_hold_are_refused(tmp_path):
    with pytest.raises(WeightsError, match='__metadata__'):
        save(tmp_path / 'one', {'__metadata__': torch.ones(1)}, card())
    with pytest.raises(WeightsError, match='architecture cannot be written as JSON'):
        save(tmp_path / 'one', weights(), card(architecture={'act': torch.nn.GELU}))


def test_a_cut_file_is_refused_at_every_length(tmp_path):
    data = to_bytes(weights(), ARCHITECTURE)
    for length in range(len(data)):
        with pytest.raises(WeightsError, match='here is no whole safetensors file'):
            from_bytes(data[:length], where='here')
    save(tmp_path / 'one', weights(), card())
    (tmp_path / 'one' / WEIGHTS_FILE).write_bytes(data[:-1])
    with pytest.raises(WeightsError, match=rf'{WEIGHTS_FILE} is no whole safetensors'):
        load(tmp_path / 'one')


def test_foreign_files_are_refused():
    with pytest.raises(WeightsError, match='no whole safetensors'):
        from_bytes(b'\x80\x02}q\x00.' * 100, where='here')
    with pytest.raises(WeightsError, match=r'says no architecture.*not saved by LWD'):
        from_bytes(safetensors.torch.save(weights()), where='here')
    with pytest.raises(WeightsError, match='says no architecture'):
        from_bytes(safetensors.torch.save(weights(), {'format': 'pt'}), where='here')


@pytest.mark.parametrize('name', [CARD_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(tmp_path, name):
    save(tmp_path / 'one', weights(), card())
    (tmp_path / 'one' / name).unlink()
    with pytest.raises(WeightsError, match=rf'{name} cannot be read \(No such file'):
        load(tmp_path / 'one')
    with pytest.raises(WeightsError, match=r'two cannot be read \(No such file'):
        version(tmp_path / 'two')


def test_a_card_that_does_not_fit_is_refused_with_file_and_field(tmp_path):
    folder = tmp_path / 'one'
    good = save(folder, weights(), card())
    path = folder / CARD_FILE
    edit(path, tensors={**good.tensors, 'head.bias': 'F16 [4]'})
    with pytest.raises(WeightsError, match=r'card.json: tensors says head.bias is F16 \[4\], but'
                                           r' weights.safetensors has F16 \[3\]'):
        load(folder)
    edit(path, tensors={**good.tensors, 'extra': 'F16 [4]'})
    with pytest.raises(WeightsError, match=r'tensors says extra is F16 \[4\].*has it not'):
        load(folder)
    edit(path, tensors={'head.bias': 'F16 [3]'})
    with pytest.raises(WeightsError, match=r'tensors says head.weight is absent.*F32 \[5\]'):
        load(folder)
    edit(path, tensors=good.tensors, architecture={**ARCHITECTURE, 'width': 65})
    with pytest.raises(WeightsError, match=r'architecture says width is 65, but .* has 64'):
        load(folder)
    edit(path, architecture=ARCHITECTURE, version='ab' * 32)
    with pytest.raises(WeightsError, match=rf"version is '{'ab' * 32}', but .*{good.version}"):
        load(folder)
    edit(path, version=good.version, sede=4)
    with pytest.raises(CardError, match=rf"{path} has the unknown key 'sede'"):
        load(folder)


def test_one_changed_bit_of_the_values_is_noticed(tmp_path):
    save(tmp_path / 'one', weights(), card())
    path = tmp_path / 'one' / WEIGHTS_FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match='changed or is damaged'):
        load(tmp_path / 'one')
