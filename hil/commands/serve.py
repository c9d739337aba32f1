"""Show runs in a browser while they are recorded and after: how far, how right, every slot with its traces.

hil serve                                  the runs of ./runs, for browsers on this machine
hil serve --bind 0.0.0.0:8017              over the network, with the token that is printed

It only reads run files. The address with the token also lets a page stop a run, as Ctrl-C does.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import sys
from pathlib import Path

from drivers.errors import InputError
from hil.run.session import RUNS
from hil.terminal.install import install_extra
from hil.terminal.visible import visible

_NICENESS = 10  # the run comes first


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil serve`."""
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="folder of run files (default: runs)")
    parser.add_argument(
        "--bind", default="127.0.0.1:8017", metavar="HOST:PORT", help="where to listen (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C; returns the exit code."""
    try:
        import uvicorn

        from hil.web.app import Hub, application
        from hil.web.folder import Folder
        from hil.web.guard import is_loopback
        from hil.web.server import QuietServer
    except ModuleNotFoundError as error:
        raise InputError(f"hil serve needs {error.name}: {install_extra('serve')}") from error
    host, port = parse_bind(args.bind)
    token = secrets.token_urlsafe(18)
    alone = is_loopback(host)
    hub = Hub(Folder(args.runs))
    app = application(hub, token, open_to_all=alone)
    listener = _listen(host, port)
    os.nice(_NICENESS)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/"
    if not args.runs.is_dir():
        print(f"{visible(str(args.runs))} is not there yet; runs will be shown as they are recorded", file=sys.stderr)
    if alone:
        print(f"{address}  (read-only)", flush=True)
    print(f"{address}?token={token}  (may stop runs)", flush=True)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1, lifespan="off"
    )
    QuietServer(config, hub.end).run(sockets=[listener])
    return 0


def parse_bind(text: str) -> tuple[str, int]:
    """HOST:PORT, with an IPv6 address in brackets; raises InputError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"--bind {text}: give HOST:PORT with a port in 0…65535, such as 127.0.0.1:8017")
    return host.strip("[]"), int(port)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen()  # whoever reads the address that is printed may come at once
    except OSError as error:
        raise InputError(f"--bind {host}:{port}: {error.strerror or error}") from error
    return listener
