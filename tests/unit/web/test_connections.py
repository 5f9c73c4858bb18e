"""Connections of the web face by themselves: bounds, broken answers, sharing; the application is a small one."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import select
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sized
from math import inf

import pytest
from starlette.types import Receive, Scope, Send

from vna_core.configuration import HttpSettings
from vna_core.gateways.web.connection import MAX_FIELDS, MAX_HEAD, MAX_WAITING
from vna_core.gateways.web.door import CONCURRENT, Door
from vna_core.gateways.web.pieces import PIECES
from vna_core.gateways.web.prompt import PromptWork, busy
from vna_core.gateways.web.server import serve

LARGE = 64 << 20


class Answers:
    """An application whose paths are manners of answering."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        def begin(*fields: tuple[bytes, bytes]) -> dict[str, object]:
            return {"type": "http.response.start", "status": 200, "headers": list(fields)}

        match scope["path"]:
            case "/broken":
                await send(begin((b"content-length", b"10")))
                await send({"type": "http.response.body", "body": b"half ", "more_body": True})
                raise RuntimeError("the other half is lost")
            case "/large":
                await send(begin((b"content-length", b"%d" % LARGE)))
                await send({"type": "http.response.body", "body": bytes(LARGE)})
            case "/pieces" | "/chunked" | "/too-long":
                announced = [(b"content-length", b"6")] if scope["path"] != "/chunked" else []
                assert PIECES in scope["extensions"]
                await send(begin(*announced))
                await send({"type": PIECES, "pieces": [b"one", memoryview(b"-two")[:2]]})
                await send({"type": PIECES, "pieces": []})
                if scope["path"] == "/too-long":
                    await send({"type": PIECES, "pieces": [b"more than was announced"]})
                await send({"type": "http.response.body", "body": b"k", "more_body": False})
            case "/refuse":
                await send(begin((b"content-length", b"7"), (b"connection", b"close")))
                await send({"type": "http.response.body", "body": b"refused"})
            case "/wait":
                await asyncio.to_thread(self.go_on.wait, 60)
                await send(begin((b"content-length", b"2")))
                await send({"type": "http.response.body", "body": b"ok"})
            case _:
                await send(begin((b"content-length", b"2")))
                await send({"type": "http.response.body", "body": b"ok"})
        self.answered += 1

    def close(self) -> None:
        self.go_on.set()


@contextlib.contextmanager
def served(app: Answers, header_timeout: float = 30) -> Iterator[tuple[str, int]]:
    """The web server in a thread; its address."""
    settings = HttpSettings(header_timeout=header_timeout, body_timeout=0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        stop = threading.Event()
        thread = threading.Thread(target=serve, args=(app, listener, settings, stop))
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            app.go_on.set()
            stop.set()
            thread.join()


@pytest.fixture
def app() -> Answers:
    return Answers()


@pytest.fixture
def connection(app: Answers) -> Iterator[socket.socket]:
    with served(app) as address, socket.create_connection(address, timeout=60) as connection:
        yield connection


def request(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


def answer(connection: socket.socket, ends: bytes = b"ok") -> bytes:
    """What arrives until an answer's last octets, or until the end of the connection."""
    found = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while not found.endswith(ends) and (piece := connection.recv(65536)):
            found += piece
    return found


def test_every_answer_tells_when_it_was_made(connection: socket.socket) -> None:
    connection.sendall(request("/"))
    [date] = [line for line in answer(connection).split(b"\r\n") if line.startswith(b"date: ")]
    assert email.utils.parsedate_to_datetime(date.removeprefix(b"date: ").decode()).utcoffset() is not None


def test_a_request_for_another_protocol_is_answered_in_this_one_and_so_is_the_next(connection: socket.socket) -> None:
    for _ in range(2):
        connection.sendall(request("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"))
        assert answer(connection).startswith(b"HTTP/1.1 200")
    connection.sendall(request("/", "Connection: Upgrade", "Upgrade: h2c") + request("/refuse"))
    assert answer(connection, b"refused").count(b"200 OK") == 2


def test_a_head_of_too_many_fields_is_refused(connection: socket.socket) -> None:
    connection.sendall(request("/", *(f"X-{number}: 1" for number in range(MAX_FIELDS - 1))))
    assert answer(connection).startswith(b"HTTP/1.1 200"), "the host is one of them"
    connection.sendall(request("/", *(f"X-{number}: 1" for number in range(MAX_FIELDS))))
    assert answer(connection).startswith(b"HTTP/1.1 400")


def test_a_head_without_an_end_is_refused_before_its_time_is_over(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        for _ in range(2 * MAX_HEAD // 4096):
            connection.sendall(b"a" * 4096)
    assert b"200 OK" not in answer(connection)


@pytest.mark.parametrize("behind", [b"0\r\nX-Long: ", b"1;long="], ids=["trailer", "extension"])
def test_what_follows_a_body_without_an_end_is_not_kept(connection: socket.socket, behind: bytes) -> None:
    connection.sendall(request("/", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n" + behind)
    connection.settimeout(None)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(1024):
            connection.sendall(b"a" * (MAX_HEAD // 4))


def test_a_body_of_many_small_pieces_is_taken(connection: socket.socket) -> None:
    connection.sendall(request("/", "Transfer-Encoding: chunked"))
    for _ in range(16):
        connection.sendall(b"1\r\na\r\n" * (MAX_HEAD // 16))
    connection.sendall(b"0\r\nX-Short: 1\r\n\r\n" + request("/refuse"))
    assert answer(connection, b"refused").count(b"200 OK") == 2


def test_the_rest_of_an_answered_body_has_the_time_of_a_head(app: Answers) -> None:
    with served(app, 0.5) as address, socket.create_connection(address, timeout=60) as connection:
        connection.sendall(request("/", "Content-Length: 1000"))
        assert answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(b"a")
        assert answer(connection, b"never") == b"", "the connection is ended though its body is not"


def test_too_many_waiting_requests_end_the_connection_and_cut_no_answer_open(app: Answers, connection: socket.socket) -> None:
    connection.sendall(request("/wait") + request("/") * (MAX_WAITING + 2))
    assert answer(connection, b"never") == b""
    assert not app.answered


def test_requests_that_wait_are_answered_in_their_order(app: Answers, connection: socket.socket) -> None:
    connection.sendall(request("/wait") + request("/refuse"))
    app.go_on.set()
    found = answer(connection, b"refused")
    assert [found.count(b"200 OK"), found.index(b"ok") < found.index(b"refused")] == [2, True]


def test_what_is_no_http_does_not_come_into_the_midst_of_an_answer(app: Answers, connection: socket.socket) -> None:
    connection.sendall(request("/wait") + b"\0\0\0 nonsense\r\n\r\n")
    assert b"400" not in answer(connection)


def test_pieces_follow_one_another_as_one_body(connection: socket.socket) -> None:
    connection.sendall(request("/pieces"))
    assert answer(connection, b"one-tk").endswith(b"\r\n\r\none-tk")
    connection.sendall(request("/chunked"))
    assert answer(connection, b"0\r\n\r\n").endswith(b"\r\n\r\n5\r\none-t\r\n1\r\nk\r\n0\r\n\r\n")


def test_pieces_beyond_the_announced_end_are_not_sent(connection: socket.socket) -> None:
    connection.sendall(request("/too-long"))
    assert answer(connection, b"never").endswith(b"\r\n\r\none-t")


def test_an_answer_that_breaks_off_ends_its_connection(connection: socket.socket) -> None:
    connection.sendall(request("/broken"))
    assert b"half  " not in answer(connection, b"never")


def test_a_client_that_is_refused_while_it_sends_sees_why(connection: socket.socket) -> None:
    connection.sendall(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for _ in range(64):
            connection.sendall(bytes(1 << 16))
    assert answer(connection, b"refused").endswith(b"refused")


def test_a_client_that_does_not_read_its_answer_is_given_up(app: Answers, connection: socket.socket) -> None:
    connection.sendall(request("/large"))
    poll = select.poll()
    poll.register(connection, select.POLLHUP)
    assert poll.poll(60_000), "the connection is reset although nothing was read"


# -- doors ----------------------------------------------------------------------------------------------------------------


class Greeting(asyncio.Protocol):
    """Says which door it came through."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._name)
        transport.close()


async def heard(address: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        return await reader.read()
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def two_doors(first: Sized, second: Sized) -> AsyncIterator[tuple[tuple[str, int], Door, Door]]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener, listener.dup() as again:
        left = Door(listener, lambda: Greeting(b"left"), first, None)
        right = Door(again, lambda: Greeting(b"right"), second, None)
        yield listener.getsockname(), left, right
        left.shut()
        right.shut()


def test_a_full_process_leaves_connections_to_others() -> None:
    async def run() -> set[bytes]:
        async with two_doors(range(CONCURRENT), ()) as (address, _, _):
            return {await heard(address) for _ in range(10)}

    assert asyncio.run(run()) == {b"right"}


def test_a_door_that_is_shut_lets_nobody_in() -> None:
    async def run() -> set[bytes]:
        async with two_doors((), ()) as (address, left, _):
            left.shut()
            return {await heard(address) for _ in range(10)}

    assert asyncio.run(run()) == {b"right"}


# -- short work in the loop -----------------------------------------------------------------------------------------------


class Work:
    """A prompt loop whose work takes what is told, and its clocks."""

    def __init__(self, is_told: bool = True) -> None:
        self.now = self.busy = 0.0
        self.prompt = PromptWork(lambda: self.now, lambda: self.busy if is_told else inf)

    def do(self, *, busy: float = 0.0, waits: float = 0.0) -> str:
        def work() -> str:
            self.busy += busy
            self.now += busy + waits
            return "done"

        return str(self.prompt.do(work))


@pytest.mark.parametrize(
    ("busy", "waits", "is_quick"),
    [(0.001, 0.001, True), (0.1, 0.001, True), (0.001, 0.1, False)],
    ids=["quick", "busy", "waited"],
)
def test_work_that_waited_long_sends_what_follows_to_threads_for_a_while(busy: float, waits: float, is_quick: bool) -> None:
    work = Work()
    assert [work.do(busy=busy, waits=waits) for _ in range(2)] == ["done"] * 2
    assert work.prompt.is_quick is is_quick
    work.now += 2 * PromptWork.PAUSE
    assert work.prompt.is_quick


def test_a_disk_that_is_slow_is_noticed_however_busy_the_loop_is_between_its_reads() -> None:
    work = Work()
    work.do(busy=0.001)
    work.busy += 0.06
    work.now += 0.06
    work.do(waits=0.05)
    assert not work.prompt.is_quick


def test_what_took_long_has_waited_where_the_system_does_not_tell() -> None:
    work = Work(is_told=False)
    work.do(busy=0.1)
    assert not work.prompt.is_quick


def test_a_disk_that_stays_slow_is_tried_less_and_less_often_until_it_is_quick_again() -> None:
    work = Work()
    pauses = []
    for _ in range(8):
        work.do(waits=0.125)
        pauses.append(0)
        while not work.prompt.is_quick:
            work.now += PromptWork.PAUSE / 2 + 1e-9
            pauses[-1] += 1
    assert pauses == sorted(pauses)
    assert pauses[-1] * PromptWork.PAUSE / 2 == pytest.approx(PromptWork.LONGEST_PAUSE, abs=PromptWork.PAUSE)
    work.do(busy=0.001)
    work.do(waits=0.125)
    work.now += PromptWork.PAUSE
    assert work.prompt.is_quick


def test_the_system_tells_how_long_a_thread_was_busy() -> None:
    begun = busy()
    assert begun <= busy() < inf
