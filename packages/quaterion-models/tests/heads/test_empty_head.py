import torch

from quaterion_models.heads import EmptyHead


def test_returns_its_input_and_has_nothing_to_train(tmp_path):
    head = EmptyHead(5)
    x = torch.rand(2, 5)
    assert torch.equal(head(x), x)
    assert head.output_size == 5
    assert list(head.parameters()) == []
    head.save(tmp_path)
    assert torch.equal(EmptyHead.load(tmp_path)(x), x)
