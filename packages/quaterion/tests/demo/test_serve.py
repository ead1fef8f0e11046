"""The search page over real HTTP, from a real run of the demo on a slice of the library, and in a real browser."""

import http.client
import importlib.util
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from quaterion.demo.run import DemoOptions, DemoResult, run_demo
from quaterion.demo.search_page import LONGEST, SearchPage
from quaterion.demo.serve import HOST, PageServer

SIDES = ("before", "after")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(DemoOptions(out=tmp_path_factory.mktemp("demo"), epochs=2, batch_size=16, limit=60, quiet=True))


@pytest.fixture(scope="module")
def server(result: DemoResult) -> Iterator[PageServer]:
    with PageServer(0) as opened:
        opened.open_page(SearchPage(result, ["sort a list", "<b>open</b> a file"]))
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def ask(server: PageServer, target: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=30)
    try:
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def search(server: PageServer, query: str) -> dict[str, Any]:
    response, body = ask(server, f"/search?q={quote(query)}")
    assert response.status == 200
    return json.loads(body)


def test_results_are_those_of_the_demo_itself(server: PageServer, result: DemoResult) -> None:
    for answer in result.answers:
        found = search(server, answer.question)
        assert found["held_out"] == []
        for side in SIDES:
            assert [one["name"] for one in found[side]["results"]] == [one.name for one in getattr(answer, side)]
            scores = [one["score"] for one in found[side]["results"]]
            assert scores == sorted(scores, reverse=True)
            assert found[side]["rank"] is None


def test_ranks_of_held_out_descriptions_give_the_mean_reciprocal_rank_of_the_run(
    server: PageServer, result: DemoResult
) -> None:
    found = [search(server, result.entries[number].description) for number in result.split.test]
    for side in SIDES:
        expected = getattr(result, side)["mrr"].value
        ranks = [one[side]["rank"] for one in found]
        assert sum(1 / rank for rank in ranks) / len(ranks) == pytest.approx(expected)
        for one, number in zip(found, result.split.test, strict=True):
            assert one["held_out"] == [result.entries[number].name]
            place = [shown["right"] for shown in one[side]["results"]]
            assert place == [index + 1 == one[side]["rank"] for index in range(5)]


def test_a_description_of_the_training_part_is_not_called_held_out(server: PageServer, result: DemoResult) -> None:
    found = search(server, result.entries[result.split.train[0]].description)
    assert found["held_out"] == []


def test_a_result_names_its_module_and_links_to_the_manual(server: PageServer, result: DemoResult) -> None:
    shown = {one["name"]: one for entry in result.entries for one in search(server, entry.text)["after"]["results"]}
    for entry in result.entries:
        one = shown.get(entry.name)
        if one is not None:
            owners = entry.name.split(".")[: -2 if entry.kind == "method" else -1]
            assert one["module"] == (".".join(owners) or "built-in")
            assert one["link"].startswith("https://docs.python.org/3.")
            assert one["link"].endswith(f"search.html?q={entry.name}")
    assert len(shown) > 30


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/search", 400, "query is empty"),
        ("/search?q=%20%09", 400, "query is empty"),
        (f"/search?q={'w' * (LONGEST + 1)}", 400, "501 characters; at most 500"),
        ("/../pyproject.toml", 404, "search page is at /"),
        ("/page", 404, "search page is at /"),
    ],
)
def test_bad_addresses_are_told_in_json(server: PageServer, target: str, status: int, message: str) -> None:
    response, body = ask(server, target)
    assert response.status == status
    assert message in json.loads(body)["error"]


def test_the_longest_query_and_any_bytes_are_searched_for(server: PageServer) -> None:
    assert search(server, "w" * LONGEST)["query"] == "w" * LONGEST
    for query in ("%FF%00", "%F0%9F%90%8D", "%3Cscript%3E", "a&q=b"):
        assert ask(server, f"/search?q={query}")[0].status == 200


def test_what_is_no_address_at_all_is_told(server: PageServer) -> None:
    host = f"{HOST}:{server.server_port}"
    with socket.create_connection((HOST, server.server_port), timeout=30) as raw:
        raw.sendall(f"GET http://[/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        reply = raw.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"This is no address (Invalid IPv6 URL); the search page is at /." in reply


def test_clients_that_leave_are_not_told_of(server: PageServer, capfd: pytest.CaptureFixture[str]) -> None:
    host = f"{HOST}:{server.server_port}"
    for _ in range(5):
        with socket.create_connection((HOST, server.server_port)) as leaving:
            leaving.sendall(f"GET /search?q=a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 3)
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no farewell
    assert search(server, "sort")["query"] == "sort"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(server: PageServer, method: str) -> None:
    response, body = ask(server, "/search?q=a", method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert method in json.loads(body)["error"]


def test_head_has_the_headers_of_get_and_no_body(server: PageServer) -> None:
    (head, nothing), (get, body) = ask(server, "/", "HEAD"), ask(server, "/")
    assert nothing == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_foreign_host_name_gets_nothing(server: PageServer, host: str) -> None:
    response, body = ask(server, "/facts", Host=host.format(port=server.server_port))
    assert response.status == 421
    assert b"entries" not in body


def test_localhost_is_this_machine(server: PageServer) -> None:
    assert ask(server, "/", Host=f"localhost:{server.server_port}")[0].status == 200


@pytest.mark.parametrize("target", ["/", "/page.js", "/search?q=a", "/nowhere"])
def test_nothing_from_outside_may_be_loaded_or_framed(server: PageServer, target: str) -> None:
    policy = ask(server, target)[0].headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_many_at_once_each_get_their_own_answer(server: PageServer, result: DemoResult) -> None:
    queries = [entry.description for entry in result.entries[:24]]
    expected = [search(server, query) for query in queries]
    found: dict[int, dict[str, Any]] = {}
    threads = [
        threading.Thread(target=lambda i=i, query=query: found.update({i: search(server, query)}))
        for i, query in enumerate(queries)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(24)] == expected


def test_a_port_in_use_is_told() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"Port {port} of 127.0.0.1 cannot be used .*choose another with --port"):
            PageServer(port)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    source = Path(__file__).parents[1] / "eval" / "report" / "browser.py"
    spec = importlib.util.spec_from_file_location("report_browser", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    executable = module.find_chromium()
    if executable is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with module.Browser(executable, tmp_path_factory.mktemp("profile")) as started:
        yield started


def show(browser: Any, address: str, width: int = 1280, *, dark: bool = False) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])
    browser.events.clear()
    browser.call("Page.navigate", url="about:blank")
    browser.call("Page.navigate", url=address)


def press(browser: Any, key: str) -> None:
    text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
    browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **text)
    browser.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)


FOCUSED = "document.activeElement.closest('section')?.id + document.activeElement.querySelector('.name')?.textContent"


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_permalink_shows_both_sides(
    browser: Any, server: PageServer, result: DemoResult, width: int, dark: bool
) -> None:
    query = result.entries[result.split.test[0]].description
    show(browser, f"{server.address}?q={quote(query)}", width, dark=dark)
    browser.wait_for("document.body?.dataset.shown")
    expected = search(server, query)
    for side in SIDES:
        names = browser.evaluate(f"[...document.querySelectorAll('#{side} .name')].map(one => one.textContent)")
        assert names == [one["name"] for one in expected[side]["results"]]
        rank = browser.evaluate(f"document.querySelector('#{side} .rank').textContent")
        assert rank == f"Right entry at rank {expected[side]['rank']}"
    assert browser.evaluate("document.getElementById('q').value") == query
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []
    assert all(address.startswith(server.address) for address in browser.requests())
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 3 * 128) == dark


@pytest.mark.slow
def test_it_works_by_keyboard(browser: Any, server: PageServer) -> None:
    show(browser, server.address)
    browser.wait_for("document.querySelectorAll('#examples a').length === 6")
    assert browser.evaluate("document.activeElement.id") == "q"
    for key in "<i>":
        press(browser, key)
    browser.wait_for("document.body.dataset.shown === '<i>'")
    assert browser.evaluate("location.search") == "?q=%3Ci%3E"
    results = {side: [one["name"] for one in search(server, "<i>")[side]["results"]] for side in SIDES}
    for key, side, place in [("ArrowDown", "after", 0), ("ArrowDown", "after", 1), ("ArrowLeft", "before", 1)]:
        press(browser, key)
        assert browser.evaluate(FOCUSED) == side + results[side][place]
    press(browser, "Escape")
    assert browser.evaluate("document.activeElement.id") == "q"
    browser.evaluate("document.activeElement.blur()")
    press(browser, "/")
    assert browser.evaluate("document.activeElement.id + document.activeElement.value") == "q<i>"


@pytest.mark.slow
def test_an_example_is_a_step_in_the_history_and_is_shown_as_text(browser: Any, server: PageServer) -> None:
    show(browser, f"{server.address}?q=first")
    browser.wait_for("document.body?.dataset.shown === 'first' && document.querySelector('#questions a')")
    browser.evaluate("document.querySelectorAll('#questions a')[1].click()")
    browser.wait_for("document.body.dataset.shown === '<b>open</b> a file'")
    assert browser.evaluate("document.querySelectorAll('b').length") == 0
    browser.evaluate("history.back()")
    browser.wait_for("document.body.dataset.shown === 'first'")
    assert browser.evaluate("document.getElementById('q').value") == "first"
