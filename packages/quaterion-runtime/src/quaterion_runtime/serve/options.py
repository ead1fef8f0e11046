"""What a service is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServeOptions:
    """Limits and names of a service.

    Attributes:
        name: What requests call the model.
        api_key: What requests must carry; None lets all in.
        max_body: Most bytes of a request.
        max_texts: Most texts of a request.
        max_queue: Most texts that are in the service at a time.
        max_batch_tokens: Most tokens of a batch, padding included.
        max_wait: Most seconds that a text waits for others to share its batch.
        body_timeout: Most seconds in which a request's body must be here.

    Raises:
        ValueError: If the key is empty or has spaces around it, or a request of the most texts would never fit into
            the queue.

    Example:
        >>> ServeOptions(name="support", max_texts=100, max_queue=50)
        Traceback (most recent call last):
        ValueError: max_queue must be at least max_texts, which is 100, or such a request is never accepted; got 50
    """

    name: str
    api_key: str | None = None
    max_body: int = 4 * 2**20
    max_texts: int = 2048
    max_queue: int = 8192
    max_batch_tokens: int = 1024
    max_wait: float = 0.002
    body_timeout: float = 30.0

    def __post_init__(self) -> None:
        if self.api_key == "":
            raise ValueError("the API key is empty: give one with characters, or none at all")
        if self.api_key is not None and self.api_key != self.api_key.strip():
            raise ValueError("the API key has spaces around it, which no header carries: give it without them")
        if self.max_queue < self.max_texts:
            raise ValueError(
                f"max_queue must be at least max_texts, which is {self.max_texts}, or such a request is never "
                f"accepted; got {self.max_queue}"
            )
