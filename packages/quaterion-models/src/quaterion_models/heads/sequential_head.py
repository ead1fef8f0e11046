"""A head made of torch's own layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from quaterion_models.heads.encoder_head import EncoderHead, positive_size


class SequentialHead(EncoderHead):
    """Applies modules one after the other, like `nn.Sequential`.

    Saved as a table of layer names and their arguments, without pickle. Layers of `torch.nn` are known; others are
    found among the classes that the process has imported, or given to `load` as `classes`.

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
        # Only layers know their input size; 1 stands in until it is replaced below.
        super().__init__(input_embedding_size=_input_size(modules) or 1)
        if not modules:
            raise ValueError("SequentialHead needs at least one module, got none. Use EmptyHead for no layer")
        for module in modules:
            if not isinstance(module, nn.Module):
                raise TypeError(f"SequentialHead takes torch modules, got {type(module).__name__} {module!r}")
        self.input_embedding_size = _input_size(modules)  # type: ignore[assignment]
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


def _input_size(modules: tuple[nn.Module, ...]) -> int | None:
    """Finds what input the first module that cares wants; None where no module says."""
    for module in modules:
        if isinstance(module, nn.Sequential):
            inner = _input_size(tuple(module))
            if inner is not None:
                return inner
            continue
        size = getattr(module, "in_features", getattr(module, "num_features", None))
        if size is None and isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:
            size = module.normalized_shape[0]
        if isinstance(size, int) and size > 0:
            return size
        if any(True for _ in module.parameters()):
            return None  # it has weights, and does not say of which size
    return None
