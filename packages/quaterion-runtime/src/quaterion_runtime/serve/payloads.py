"""What a request for embeddings asks for, and what it is answered."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from quaterion_runtime.folder import DOCUMENT, QUERY, RuntimeFolder
from quaterion_runtime.serve.errors import ApiError
from quaterion_runtime.serve.options import ServeOptions
from quaterion_runtime.shape import Shape, shape_of

FIELDS = ("input", "model", "encoding_format", "dimensions", "user", "input_type")
_SHOWN = 100


@dataclass(frozen=True)
class EmbeddingsRequest:
    """A request that was read and checked.

    Attributes:
        texts: What to embed.
        side: `"query"` or `"document"`.
        shape: What is wanted of the vectors.
        as_base64: Whether vectors are written as base64 of little-endian float32, and not as lists of numbers.
    """

    texts: list[str]
    side: str
    shape: Shape
    as_base64: bool


def read_request(body: bytes | bytearray, folder: RuntimeFolder, options: ServeOptions) -> EmbeddingsRequest:
    """Reads the body of a request.

    Args:
        body: JSON.
        folder: What the model's folder says.
        options: Limits, and the model's name.

    Returns:
        What it asks for.

    Raises:
        ApiError: If it is no JSON, has fields that there are not, or values that are not allowed.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"The body is no JSON: {error}.", code="invalid_json") from None
    if not isinstance(content, dict):
        raise ApiError(400, f"The body must be a JSON object, it is {_shown(content)}.", code="invalid_json")
    unknown = sorted(content.keys() - set(FIELDS))
    if unknown:
        raise _invalid(unknown[0][:_SHOWN], f"is not known here. There are {', '.join(FIELDS)}")
    _check_model(content.get("model"), options.name)
    _check_user(content.get("user"))
    return EmbeddingsRequest(
        texts=_texts(content.get("input"), options.max_texts),
        side=_choice(content, "input_type", (QUERY, DOCUMENT)),
        shape=_shape(content.get("dimensions"), folder),
        as_base64=_choice(content, "encoding_format", ("float", "base64")) == "base64",
    )


def write_reply(request: EmbeddingsRequest, vectors: NDArray[np.float32], tokens: int, name: str) -> bytes:
    """Writes the reply to a request.

    Args:
        request: The request.
        vectors: Of its texts, all components, `[N, D]`.
        tokens: How many tokens the texts have.
        name: The model's.

    Returns:
        JSON.
    """
    cut = np.ascontiguousarray(request.shape.cut(vectors))
    embeddings = [base64.b64encode(row.astype("<f4")).decode() for row in cut] if request.as_base64 else cut
    content = {
        "object": "list",
        "data": [{"object": "embedding", "index": row, "embedding": one} for row, one in enumerate(embeddings)],
        "model": name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _texts(value: Any, most: int) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise _invalid("input", f"must be a text, or a list of at least one, it is {_shown(value)}")
    if len(value) > most:
        raise _invalid("input", f"has {len(value)} texts, a request may have {most}. Send several requests")
    for position, one in enumerate(value):
        if isinstance(one, str):
            continue
        numbers = one if isinstance(one, list) else value
        if all(type(number) is int for number in numbers):
            raise _invalid("input", "has ids of tokens. This model's differ from those of OpenAI's models: send texts")
        raise _invalid("input", f"must hold texts alone, at position {position} is {_shown(one)}")
    return value


def _shape(dimensions: Any, folder: RuntimeFolder) -> Shape:
    try:
        return shape_of(folder, normalize=False, dimensions=dimensions, precision="float32")
    except ValueError as error:
        raise ApiError(400, f"{error}.", param="dimensions", code="invalid_value") from None


def _check_model(value: Any, name: str) -> None:
    if not isinstance(value, str):
        raise _invalid("model", f"must be {name!r}, it is {_shown(value)}")
    if value != name:
        raise ApiError(
            404, f"There is no model {_shown(value)} here, it is {name!r}.", param="model", code="model_not_found"
        )


def _check_user(value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise _invalid("user", f"must be a text, it is {_shown(value)}")


def _choice(content: Mapping[str, Any], field: str, allowed: tuple[str, ...]) -> str:
    """A field's value; the first that is allowed where there is none."""
    value = content.get(field)
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise _invalid(field, f"must be {' or '.join(map(repr, allowed))}, it is {_shown(value)}")
    return str(value)


def _invalid(field: str, problem: str) -> ApiError:
    return ApiError(400, f"{field} {problem}.", param=field, code="invalid_value")


def _shown(value: Any) -> str:
    """The start of a value, as it stood in the JSON."""
    if isinstance(value, list | dict) and value:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
