"""The demo's model has two sides, a frozen encoder and a cache."""

from pathlib import Path

import torch

from quaterion.demo.model import SearchModel


def test_only_the_two_heads_are_trained(minilm_folder: Path, tmp_path: Path) -> None:
    model = SearchModel(minilm_folder, tmp_path)
    assert model.model.two_sided
    # Each head: a 384 x 384 matrix, its bias and one gate a component.
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trained == 2 * (384 * 384 + 384 + 384)


def test_vectors_are_kept_in_the_given_folder(minilm_folder: Path, tmp_path: Path) -> None:
    assert SearchModel(minilm_folder, tmp_path).configure_caches().save_dir == tmp_path


def test_the_optimizer_has_every_parameter_of_the_heads(minilm_folder: Path, tmp_path: Path) -> None:
    model = SearchModel(minilm_folder, tmp_path, lr=0.5)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert len(optimizer.param_groups[0]["params"]) == len(list(model.model.head.parameters()))
