import torch

from quaterion_models.heads import SoftmaxEmbeddingsHead


def test_each_group_is_a_softmax_of_its_own():
    head = SoftmaxEmbeddingsHead(2, 3, 5)
    x = torch.randn(4, 5)
    logits = x @ head.projection.weight.T + head.projection.bias
    expected = torch.cat([logits[:, :3].softmax(1), logits[:, 3:].softmax(1)], dim=1)
    torch.testing.assert_close(head(x), expected)
    assert head.output_size == 6


def test_is_saved_and_loaded(tmp_path):
    head = SoftmaxEmbeddingsHead(2, 3, 5, dropout=0.1)
    head.save(tmp_path)
    x = torch.rand(2, 5)
    assert torch.equal(SoftmaxEmbeddingsHead.load(tmp_path).eval()(x), head.eval()(x))
