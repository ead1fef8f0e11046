"""A service in a process of its own, on a port of this machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

COMMAND = [sys.executable, "-m", "quaterion_runtime", "serve"]


class Service:
    """A service that runs; `name` is what it calls its model."""

    def __init__(self, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.name = folder.name
        self.process = subprocess.Popen(
            [*COMMAND, folder, "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (env or {}),
        )
        self.banner = self.process.stdout.readline()
        if not self.banner:
            raise RuntimeError(self.process.communicate()[1])
        self.url = self.banner.split()[-1]
        self.port = int(self.url.rpartition(":")[2])

    def embed(self, given: object, **fields: object) -> httpx.Response:
        return self.post({"model": self.name, "input": given, **fields})

    def post(self, content: object, **options: object) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/embeddings", json=content, timeout=30, **options)

    def metrics(self) -> dict[str, float]:
        """Every sample by its name, those with labels by `name{value,value}` too."""
        found = {}
        for family in text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text):
            for sample in family.samples:
                labels = ",".join(sample.labels.values())
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return {name.removeprefix("quaterion_runtime_"): value for name, value in found.items()}

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Tells it to stop; its exit code and what it wrote to standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Starts services, and sees to it that each stops as it should."""
    started: list[Service] = []

    def start(folder: Path, *options: str, env: dict[str, str] | None = None) -> Service:
        started.append(Service(folder, *options, env=env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            assert one.stop() == (0, "")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service of the golden model of texts with no options, for tests that neither stop nor count."""
    one = Service(Path(__file__).parents[1] / "golden" / "format_1" / "text")
    yield one
    assert one.stop() == (0, "")
