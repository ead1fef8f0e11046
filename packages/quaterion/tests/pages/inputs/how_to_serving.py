"""docs/how-to/serving.md: a service of an exported model, stopped in the end."""

import shutil
import subprocess
import sys

from page_blocks import ROOT
from page_runner import Run

NEEDS = ["openai", "starlette", "uvicorn", "prometheus_client", "orjson"]
GOLDEN = ROOT / "packages" / "quaterion-runtime" / "tests" / "golden" / "format_1" / "text"


def blocks(run):
    shutil.copytree(GOLDEN, "exported")
    command = [sys.executable, "-m", "quaterion_runtime", "serve", "exported", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            run.replace["http://127.0.0.1:8000"] = service.stdout.readline().split()[-1]
            Run.blocks(run)
            run.names["client"].close()
        finally:
            service.terminate()


def check(run):
    assert run.printed == ["4"]
