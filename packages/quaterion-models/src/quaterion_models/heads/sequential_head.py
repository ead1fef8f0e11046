"""A head made of torch's own layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from quaterion_models.heads.encoder_head import EncoderHead, positive_size


class SequentialHead(EncoderHead):
    """Applies modules one after the other, like `nn.Sequential`.

    Saved as a table of layer names and their arguments, without pickle. Layers of `torch.nn` are known; classes of your
    own are given to `load` as `classes`, and keep each constructor argument as an attribute of the same name.

    Args:
        *modules: Modules, each taking the output of the one before.
        output_size: Length of the last module's output.

    Raises:
        TypeError: If one is not a module.
        ValueError: If there is none.

    Example:
        >>> import torch
        >>> head = SequentialHead(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2), output_size=2)
        >>> head(torch.ones(3, 8)).shape
        torch.Size([3, 2])
    """

    def __init__(self, *modules: nn.Module, output_size: int) -> None:
        if not modules:
            raise ValueError("SequentialHead needs at least one module, got none. Use EmptyHead for no layer")
        for module in modules:
            if not isinstance(module, nn.Module):
                raise TypeError(f"SequentialHead takes torch modules, got {type(module).__name__} {module!r}")
        size = _input_size(nn.Sequential(*modules))
        super().__init__(size or 1)
        # Where the first layer does not tell, any input is taken: then there is no size to check.
        self.input_embedding_size = size  # type: ignore[assignment]
        self._output_size = positive_size(output_size, "output_size")
        self.layers = nn.Sequential(*modules)

    @property
    def output_size(self) -> int:
        """Length of the last module's output, as given."""
        return self._output_size

    def transform(self, input_vectors: Tensor) -> Tensor:
        """Applies the modules.

        Args:
            input_vectors: `[B, input size of the first module]`.

        Returns:
            `[B, output_size]`.
        """
        output: Tensor = self.layers(input_vectors)
        return output

    def get_config_dict(self) -> dict[str, Any]:
        """Returns the modules and the output size."""
        return {"*modules": list(self.layers), "output_size": self._output_size}


def _input_size(layers: nn.Sequential) -> int | None:
    """Finds what input size the first layer wants; None where it does not say."""
    for layer in layers:
        if isinstance(layer, (nn.Dropout, nn.Identity)):
            continue
        if isinstance(layer, nn.Sequential):
            return _input_size(layer)
        if isinstance(layer, nn.LayerNorm) and len(layer.normalized_shape) == 1:
            return layer.normalized_shape[0]
        size = getattr(layer, "in_features", getattr(layer, "num_features", None))
        return size if isinstance(size, int) and size > 0 else None
    return None
