"""Attempts of this process to reach a network, while somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Python's audit events; it has none for a socket that is made or bound and never used
EVENTS = frozenset(
    {
        *("socket.connect", "socket.sendto", "socket.sendmsg"),
        *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"),
        *("urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect"),
    }
)
_watchers: list[list[str]] = []
_hooks: list[object] = []


@contextmanager
def watch_network() -> Iterator[list[str]]:
    """Collect the names of events, with what they ask for."""
    if not _hooks:  # a hook stays until the process ends
        _hooks.append(_record)
        sys.addaudithook(_record)
    events: list[str] = []
    _watchers.append(events)
    try:
        yield events
    finally:
        _watchers.remove(events)


def _record(event: str, arguments: tuple[object, ...]) -> None:
    if event in EVENTS:
        for events in _watchers:
            events.append(f"{event} {arguments!r}")
