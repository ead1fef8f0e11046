"""How the command starts and ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest

import quaterion_runtime
from quaterion_runtime import Model
from quaterion_runtime.__main__ import main


def run(*arguments, **env):
    """Exit code and error of a command that does not come to serve."""
    done = subprocess.run(
        [sys.executable, "-m", "quaterion_runtime", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, env=os.environ | env,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_it_says_where_it_serves_this_machine_alone(serve, golden):
    service = serve(golden / "text")
    assert service.banner == f"Serving text on http://127.0.0.1:{service.port}\n" and service.port > 0
    assert httpx.get(f"{service.url}/health").json() == {"status": "ok"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_there_is_finished_when_it_is_told_to_stop(serve, golden, number):
    service = serve(golden / "text", "--max-wait", "1.5")
    texts, replies = [f"cat {'a ' * count}" for count in range(4)], {}
    threads = [
        threading.Thread(target=lambda text=text: replies.setdefault(text, service.embed(text))) for text in texts
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while service.metrics()["queue_texts"] < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    stopping = threading.Thread(target=lambda: replies.setdefault("stop", service.stop(number)))
    stopping.start()
    time.sleep(0.4)
    assert len(replies) == 0  # all of them are in the service
    with pytest.raises(httpx.ConnectError):
        service.embed("a")
    for thread in [*threads, stopping]:
        thread.join()
    assert replies.pop("stop") == (0, "")
    found = [replies[text].json()["data"][0]["embedding"] for text in texts]
    np.testing.assert_allclose(found, Model.load(golden / "text").encode(texts), atol=1e-6)


def test_what_takes_too_long_is_cut_off(serve, golden):
    service = serve(golden / "text", "--max-wait", "30", "--grace", "1")
    lost = []

    def ask():
        try:
            lost.append(service.embed("a").status_code)
        except httpx.RemoteProtocolError:
            lost.append(500)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.4)
    start = time.monotonic()
    code, errors = service.stop()
    asking.join()
    assert time.monotonic() - start < 10 and code == 0 and lost == [500]
    assert "timeout graceful shutdown exceeded" in errors


def test_a_port_in_use_is_one_sentence(golden):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run("serve", golden / "text", "--port", port) == (
            1,
            f"Error: cannot listen on 127.0.0.1 port {port}: Address already in use. Choose another with --port or "
            "--host.\n",
        )


def test_a_host_that_is_not_there_is_one_sentence(golden):
    code, error = run("serve", golden / "text", "--host", "no-such-host.invalid")
    assert code == 1 and error.startswith("Error: cannot listen on no-such-host.invalid port 8000: ")
    assert error.count("\n") == 1


def test_a_folder_that_is_none_is_one_sentence(golden, tmp_path, folder_copy):
    folder = folder_copy("text")
    (folder / "model.onnx").write_bytes(b"damaged")
    for place in (tmp_path / "nowhere", folder, golden / "joined"):
        code, error = run("serve", place, "--port", 0)
        assert code == 1 and error.startswith("Error: ") and error.count("\n") == 1
    assert "only models that take text alone are served" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "70000"], r"--port: must be a whole number in 0\.\.65535, got '70000'"),
        (["--max-body", "0"], "--max-body: must be a whole number in 1"),
        (["--max-wait", "-1"], "--max-wait"),
        (["--max-wait", "nan"], r"must be seconds in 0\.\.3600, got 'nan'"),
        (["--threads", "x"], "--threads: must be a whole number"),
        (["--max-queue", "5"], "max_queue must be at least max_texts"),
        (["--api-key", ""], "the API key is empty"),
    ],
)
def test_wrong_usage_has_an_exit_code_of_its_own(golden, options, message, capsys):
    try:
        code = main(["serve", str(golden / "text"), *options])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert re.search(message, capsys.readouterr().err)


def test_help_has_an_example_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as end:
        main(["serve", "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert "quaterion-runtime serve exported --port 8000" in shown and "exit codes: 0 stopped by SIGTERM" in shown
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert capsys.readouterr().out == f"quaterion-runtime {quaterion_runtime.__version__}\n"


def test_everyone_who_may_use_it_is_warned_of(serve, golden):
    service = serve(golden / "text", "--host", "0.0.0.0")  # noqa: S104
    code, errors = service.stop()
    assert code == 0
    assert errors == "Warning: everyone who reaches 0.0.0.0 port 0 may use this service. Set QUATERION_API_KEY.\n"
    assert serve(golden / "text", "--host", "0.0.0.0", "--api-key", "secret").stop() == (0, "")  # noqa: S104
    assert serve(golden / "text", "--host", "localhost").stop() == (0, "")


def test_without_the_extra_it_says_what_to_type(golden, tmp_path):
    hidden = tmp_path / "hide.py"
    hidden.write_text(
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'uvicorn' else real(name, *rest)\n"
        "from quaterion_runtime.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, hidden, "serve", golden / "text"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        'Error: uvicorn is not installed. Type: pip install "quaterion-runtime[serve]".\n',
    )


def test_the_library_alone_does_not_import_the_service():
    code = (
        "import sys, quaterion_runtime; "
        "print([name for name in sys.modules if name.startswith(('quaterion_runtime.serve', 'starlette', 'uvicorn'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_an_interrupt_while_the_model_is_loaded_is_one_sentence(golden, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt  # Ctrl-C comes at no time that a test could choose from outside

    monkeypatch.setattr("quaterion_runtime.serve.text_model.TextModel", interrupted)
    assert main(["serve", str(golden / "text"), "--port", "0"]) == 130
    assert capsys.readouterr().err == "Error: interrupted before it served.\n"
