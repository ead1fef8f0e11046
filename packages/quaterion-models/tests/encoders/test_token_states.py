import torch

from quaterion_models.encoders.token_states import RaggedStates, TokenStates, take_padded

TABLE = torch.arange(12.0).view(6, 2)


def test_runs_are_padded_on_the_right_to_the_longest():
    taken = take_padded(TABLE, torch.tensor([4, 0]), torch.tensor([1, 3]))
    assert taken.mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert torch.equal(taken.states[0, 0], TABLE[4])
    assert torch.equal(taken.states[1], TABLE[:3])
    assert bool(torch.isfinite(taken.states).all())


def test_states_without_padding_are_the_same_after_padding():
    ragged = RaggedStates(TABLE, torch.tensor([2, 1, 3]))
    padded = ragged.padded()
    assert padded.states.shape == (3, 3, 2)
    assert torch.equal(padded.states[padded.mask.bool()], TABLE)


def test_some_objects_are_as_long_as_their_longest():
    padded = RaggedStates(TABLE, torch.tensor([2, 1, 3])).padded()
    for start, stop, longest in ((0, 2, 2), (1, 2, 1), (0, 3, 3)):
        rows = padded.rows(start, stop)
        assert isinstance(rows, TokenStates)
        assert torch.equal(rows.states, padded.states[start:stop, :longest])
        assert torch.equal(rows.mask, padded.mask[start:stop, :longest])
