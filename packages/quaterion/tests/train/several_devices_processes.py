"""Starts the processes of a training as torchrun would, as copies of one that has imported what they need."""

import multiprocessing
import os
import socket
import time

SECONDS = 180


def run_processes(world, function, *arguments):
    """Calls a function in each of so many processes, and ends those that have not ended after some time.

    Returns:
        Their exit codes: 0 where the function returned, 1 where it raised, -9 where the process was killed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        multiprocessing.get_context("fork").Process(target=_as_rank, args=(rank, world, port, function, arguments))
        for rank in range(world)
    ]
    for one in started:
        one.start()
    stop = time.monotonic() + SECONDS
    for one in started:
        one.join(max(0.0, stop - time.monotonic()))
    hanging = [rank for rank, one in enumerate(started) if one.is_alive()]
    for rank in hanging:
        started[rank].kill()
    if hanging:
        raise TimeoutError(f"the processes {hanging} of {world} hung in {function.__name__}")
    return [one.exitcode for one in started]


def _as_rank(rank, world, port, function, arguments):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "LOCAL_RANK": str(rank)}
    function(rank, world, *arguments)
