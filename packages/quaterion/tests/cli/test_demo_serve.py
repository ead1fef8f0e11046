"""`quaterion demo --serve` as a user types it: the page, a second start without training, Ctrl-C, a port in use."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

COMMAND = [sys.executable, "-c", "from quaterion.cli import main; main()", "demo", "--limit", "60", "--epochs", "2"]
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "80", "NO_COLOR": "1"}


def serve_once(folder: Path) -> str:
    """Starts the page, asks for it and stops it with Ctrl-C; gives what was printed."""
    command = [*COMMAND, "--serve", "--port", "0", "--no-browser"]
    errors = folder / "stderr"
    with (
        errors.open("w") as told,
        subprocess.Popen(
            command,
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
            # Jobs in the background ignore Ctrl-C, and so would what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
    ):
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            found = re.search(r"Search page: (http://127\.0\.0\.1:\d+/)", line)
            if found:
                with urlopen(f"{found[1]}search?q=sort") as response:  # noqa: S310 - http, by the pattern above
                    assert response.status == 200
                    assert json.loads(response.read())["query"] == "sort"  # all of it: then no search is under way
                process.send_signal(signal.SIGINT)
        code = process.wait()
    assert code == 0, f"{code}\n{printed}\n{errors.read_text()}"
    return printed


@pytest.mark.slow
def test_it_trains_once_serves_and_stops_cleanly(tmp_path: Path) -> None:
    printed = serve_once(tmp_path)
    assert printed.endswith("Stopped.\n")
    assert "Not trained again" not in printed
    assert "Not trained again: quaterion-demo/model holds" in serve_once(tmp_path)


@pytest.mark.slow
def test_a_port_in_use_is_told_before_the_work_begins(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [*COMMAND, "--serve", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "choose another with --port" in done.stderr
    assert "Traceback (most" not in done.stderr
    assert "Reading" not in done.stderr


def test_options_of_the_page_need_the_page(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--port", "0"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--serve" in done.stderr
