"""Sockets of one group share a port and nothing else."""

from __future__ import annotations

import contextlib
import select
import socket

import pytest

from vna_core.cli.listening import address, listen, listen_in_group
from vna_core.domain.errors import ConfigurationError


def test_connections_are_spread_over_a_group() -> None:
    with contextlib.ExitStack() as stack:
        group = [stack.enter_context(one) for one in listen_in_group("127.0.0.1", 0, "http", 2)]
        assert len({address(one) for one in group}) == 1
        clients = [stack.enter_context(socket.create_connection(group[0].getsockname())) for _ in range(64)]
        taken = [0, 0]
        while waiting := select.select(group, [], [], 0.2)[0]:
            for one in waiting:
                stack.enter_context(one.accept()[0])
                taken[group.index(one)] += 1
        assert sum(taken) == len(clients)
        assert min(taken) >= 10


def test_a_member_that_left_gets_no_more_connections_and_may_come_back() -> None:
    first, second = listen_in_group("127.0.0.1", 0, "http", 2)
    place = first.getsockname()
    second.close()
    with first, contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(socket.create_connection(place))
            stack.enter_context(first.accept()[0])
        stack.enter_context(listen(*place, "http", of_group=True))


@pytest.mark.parametrize("group", [True, False])
def test_a_port_that_somebody_listens_on_is_refused(group: bool) -> None:
    [held] = listen_in_group("127.0.0.1", 0, "http", 1) if group else [listen("127.0.0.1", 0, "http")]
    with held, pytest.raises(ConfigurationError, match="cannot listen"):
        listen_in_group("127.0.0.1", held.getsockname()[1], "http", 2)


def test_what_is_accepted_sends_the_end_of_an_answer_at_once() -> None:
    with listen("127.0.0.1", 0, "http") as held, socket.create_connection(held.getsockname()):
        accepted, _ = held.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
