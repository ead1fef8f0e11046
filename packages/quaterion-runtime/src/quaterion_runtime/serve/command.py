"""`quaterion-runtime serve`: its options, and how it ends."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from quaterion_runtime.extras import require
from quaterion_runtime.folder import RuntimeFolderError
from quaterion_runtime.serve.options import ServeOptions

KEY_VARIABLE = "QUATERION_API_KEY"
FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
_LONGEST = 3600

_EPILOG = f"""\
example:
  quaterion-runtime serve exported --port 8000
  curl http://127.0.0.1:8000/v1/embeddings -H "Content-Type: application/json" \\
    -d '{{"model": "exported", "input": ["how do I get a new card?"]}}'

The API key is better given by the environment variable {KEY_VARIABLE} than by the option: others on the machine may
see the options of a process.

exit codes: 0 stopped by SIGTERM or SIGINT (Ctrl-C), 1 it could not serve, 2 wrong usage, 130 interrupted
while it started.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `serve` to a command line.

    Args:
        commands: The commands; `run` of the parsed arguments is what to call with them.
    """
    parser = commands.add_parser(
        "serve",
        help="serve a model over HTTP, in the form of OpenAI's /v1/embeddings",
        description="Serves an exported model that takes text: POST /v1/embeddings, GET /v1/models, /health, /metrics.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a folder that `quaterion export` wrote")
    parser.add_argument("--port", type=_port, default=8000, help="0 for any that is free (8000)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine alone)")
    parser.add_argument("--name", help="what requests call the model (the folder's name)")
    parser.add_argument(
        "--api-key", help=f"what requests must carry (the environment variable {KEY_VARIABLE}, or none)"
    )
    parser.add_argument("--threads", type=_count, help="threads that compute one batch (one per physical core)")
    counts = (
        ("--max-batch-tokens", ServeOptions.max_batch_tokens, "most tokens of a batch, padding included"),
        ("--max-texts", ServeOptions.max_texts, "most texts of a request"),
        ("--max-body", ServeOptions.max_body, "most bytes of a request"),
        ("--max-queue", ServeOptions.max_queue, "most texts in the service; above it requests are answered with 429"),
        ("--grace", 30, "most seconds to finish what is there when stopped"),
    )
    seconds = (
        ("--max-wait", ServeOptions.max_wait, "most seconds that a text waits for others to share its batch"),
        ("--body-timeout", ServeOptions.body_timeout, "most seconds in which a request's body must be here"),
    )
    for option, count, about in counts:
        parser.add_argument(option, type=_count, default=count, metavar="N", help=f"{about} ({count})")
    for option, value, about in seconds:
        parser.add_argument(option, type=_seconds, default=value, metavar="S", help=f"{about} ({value:g})")
    parser.set_defaults(run=serve)


def serve(arguments: argparse.Namespace) -> int:
    """Serves until it is told to stop.

    Args:
        arguments: The parsed options.

    Returns:
        The exit code.
    """
    try:
        options = _options(arguments)
    except ValueError as error:
        return _end(WRONG_USAGE, str(error))
    try:
        for module in ("uvicorn", "starlette", "prometheus_client", "orjson"):
            require(module, extra="serve")
    except ImportError as error:
        return _end(FAILED, str(error))
    return _serve(arguments, options)


def _serve(arguments: argparse.Namespace, options: ServeOptions) -> int:
    from quaterion_runtime.serve import server
    from quaterion_runtime.serve.app import create_app
    from quaterion_runtime.serve.text_model import TextModel

    where = f"{arguments.host} port {arguments.port}"
    try:
        with server.bind(arguments.host, arguments.port) as bound:
            app = create_app(TextModel(arguments.folder, threads=arguments.threads), options)
            if options.api_key is None and not server.is_loopback(bound):
                _tell(f"Warning: everyone who reaches {where} may use this service. Set {KEY_VARIABLE}.")
            ready = f"Serving {options.name} on {server.address_of(bound)}\n"
            server.run(app, bound, grace=arguments.grace, on_listening=lambda: _say(ready))
    except RuntimeFolderError as error:
        return _end(FAILED, str(error))
    except OSError as error:
        return _end(FAILED, f"cannot listen on {where}: {error.strerror}. Choose another with --port or --host")
    except KeyboardInterrupt:  # while the model was loaded; a service that runs takes the signal itself
        return _end(INTERRUPTED, "interrupted before it served")
    return 0


def _options(arguments: argparse.Namespace) -> ServeOptions:
    key = arguments.api_key if arguments.api_key is not None else os.environ.get(KEY_VARIABLE)
    return ServeOptions(
        name=arguments.name or arguments.folder.resolve().name,
        api_key=key,
        max_body=arguments.max_body,
        max_texts=arguments.max_texts,
        max_queue=arguments.max_queue,
        max_batch_tokens=arguments.max_batch_tokens,
        max_wait=arguments.max_wait,
        body_timeout=arguments.body_timeout,
    )


def _end(code: int, message: str) -> int:
    _tell(f"Error: {' '.join(message.split()).rstrip('.')}.")
    return code


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _count(text: str) -> int:
    return _whole(text, 1, 2**31)


def _port(text: str) -> int:
    return _whole(text, 0, 2**16 - 1)


def _whole(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a whole number in {least}..{most}, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _LONGEST:
        raise argparse.ArgumentTypeError(f"must be seconds in 0..{_LONGEST}, got {text!r}")
    return value
