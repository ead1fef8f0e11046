"""A head that chooses among several heads, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.meta import Meta
from quaterion_models.names import module_name

QUERY = "query"
DOCUMENT = "document"


class SwitchHead(EncoderHead):
    """Sends each row to the head that its side information names: `meta[i]["encoder"]`.

    With a `SwitchEncoder` each kind of object gets a head of its own. With exactly the options `"query"` and
    `"document"` the model has two sides, and rows that name none are queries.

    Args:
        options: Names to heads. All must take `input_embedding_size` and have the same output size.
        input_embedding_size: Length of the input vectors.

    Raises:
        TypeError: If an option is not a head.
        ValueError: If there is no option, or their sizes differ.

    Example:
        >>> from quaterion_models.heads import EmptyHead, GatedHead
        >>> head = SwitchHead({"text": EmptyHead(2), "image": GatedHead(2)}, input_embedding_size=2)
        >>> head(torch.ones(2, 2), [{"encoder": "image"}, {"encoder": "text"}]).detach()
        tensor([[0.9640, 0.9640],
                [1.0000, 1.0000]])
    """

    def __init__(self, options: dict[str, EncoderHead], input_embedding_size: int) -> None:
        super().__init__(input_embedding_size)
        if not isinstance(options, Mapping) or not options:
            raise ValueError(f"options must be a dict of at least one head, got {options!r}")
        for name, option in options.items():
            if not isinstance(option, EncoderHead):
                raise TypeError(f"option {name!r} must be an EncoderHead, got {type(option).__name__}")
            # A SequentialHead may not know its input size.
            if option.input_embedding_size not in {None, self.input_embedding_size}:
                raise ValueError(
                    f"option {name!r} takes vectors of size {option.input_embedding_size}, expected "
                    f"{self.input_embedding_size}, the input_embedding_size of the SwitchHead"
                )
        sizes = {name: option.output_size for name, option in options.items()}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"the options of a SwitchHead must have the same output size, got {sizes}")
        self._output_size = next(iter(sizes.values()))
        self._names = list(options)
        self._options = nn.ModuleDict({module_name(name): option for name, option in options.items()})

    @property
    def options(self) -> dict[str, EncoderHead]:
        """The heads by name."""
        return dict(zip(self._names, self._options.values(), strict=True))  # type: ignore[arg-type]

    @property
    def two_sided(self) -> bool:
        """Whether the options are exactly `"query"` and `"document"`."""
        return set(self._names) == {QUERY, DOCUMENT}

    @property
    def output_size(self) -> int:
        """The size that all options share."""
        return self._output_size

    def get_config_dict(self) -> dict[str, Any]:
        """Returns the heads by name and the input size."""
        return {"options": self.options, "input_embedding_size": self.input_embedding_size}

    def transform(self, input_vectors: Tensor) -> Tensor:
        """Routes rows that have no side information.

        Args:
            input_vectors: `[B, input_embedding_size]`.

        Returns:
            `[B, output_size]`.
        """
        return self._route(input_vectors, Meta.empty(len(input_vectors)))

    def forward(self, input_vectors: Tensor, meta: Sequence[dict[str, Any]] | Meta | None = None) -> Tensor:
        """Sends each row to its head and puts the results back in order.

        Args:
            input_vectors: `[B, input_embedding_size]`.
            meta: One dict a row, with the name of an option under `"encoder"`. A `Meta` costs no Python object a row.

        Returns:
            `[B, output_size]`.

        Raises:
            ValueError: If a row names no option, or an unknown one.
        """
        known = Meta.empty(len(input_vectors)) if meta is None else Meta.of(meta)
        if len(known) != len(input_vectors):
            raise ValueError(f"meta has {len(known)} rows, expected {len(input_vectors)}, one for each vector")
        return self._route(self.dropout(input_vectors), known)

    def _route(self, x: Tensor, meta: Meta) -> Tensor:
        heads = list(self.options.values())
        # All of this is on the CPU, so that nothing waits for a GPU.
        option_of_entry = torch.tensor([self._place(entry) for entry in meta.table], dtype=torch.int64)
        option_of_row = option_of_entry[meta.codes]  # [B]
        if bool((option_of_row < 0).any()):
            raise self._unknown(meta, option_of_row)
        counts = torch.bincount(option_of_row, minlength=len(heads)).tolist()
        if max(counts) == len(x):
            return self._head_output(heads[counts.index(len(x))], x, meta)
        order = torch.argsort(option_of_row, stable=True)  # rows of option 0, then of option 1, ...
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        sorted_x = x.index_select(0, order.to(x.device))
        parts = []
        start = 0
        for head, count in zip(heads, counts, strict=True):
            if count:
                rows = slice(start, start + count)
                parts.append(self._head_output(head, sorted_x[rows], meta.take(order[rows])))
                start += count
        return torch.cat(parts).index_select(0, back.to(x.device))

    @staticmethod
    def _head_output(head: EncoderHead, x: Tensor, meta: Meta) -> Tensor:
        output: Tensor = head(x, meta)
        return output

    def _place(self, entry: dict[str, Any]) -> int:
        name = entry.get("encoder", QUERY if self.two_sided else None)
        return self._names.index(name) if name in self._names else -1

    def _unknown(self, meta: Meta, option_of_row: Tensor) -> ValueError:
        used = set(meta.codes[option_of_row < 0].tolist())
        without = any("encoder" not in meta.table[code] for code in used)
        names = sorted({repr(meta.table[code]["encoder"]) for code in used if "encoder" in meta.table[code]})
        got = " and ".join([f"unknown names {', '.join(names)}"] * bool(names) + ['rows without "encoder"'] * without)
        return ValueError(
            f'SwitchHead chooses by meta[i]["encoder"], one of {self._names}; got {got}. '
            "Let the encoder's extract_meta give one of these names to each record"
        )
