"""What `hil serve` answers, and what it refuses: paths, hosts, tokens, files that are not what they say."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from hil.cli import main
from hil.commands.serve import parse_bind
from hil.store.locking import in_use, lock, writer
from hil.store.rows import digest
from hil.store.runfile import RunFile
from hil.web.app import Hub, application
from hil.web.folder import Folder
from hil.web.guard import COOKIE
from tests.hil.web.conftest import Served

STRANGE = (
    "<img src=x onerror=alert(1)>.sqlite",
    "'; DROP TABLE runs;--.sqlite",
    "\u001b[31mred.sqlite",
    "a%2fb c.sqlite",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two digits, two kernels, with traces."""
    path = tmp_path_factory.mktemp("small") / "small.sqlite"
    argv = ["run", "--digits", "0:2", "--physical", "conv1:0-1", "--traces", "--full-scale", "conv1=8"]
    assert main([*argv, "--out", str(path), "--json"]) == 0
    return path


def ask(folder: Path, path: str, *, open_to_all: bool = True, method: str = "GET", **headers: str) -> tuple[int, Any]:
    """One request to the application itself, without a server; answers that never end are cut after a second."""
    status: list[int] = []
    body = b""
    given = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    bare, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": method,
        "path": bare,
        "raw_path": bare.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "server": ("localhost", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal body
        if message["type"] == "http.response.start":
            status.append(message["status"])
        body += message.get("body", b"")

    asyncio.run(application(Hub(Folder(folder)), "secret", open_to_all=open_to_all)(scope, receive, send))  # type: ignore[arg-type]
    try:
        return status[0], json.loads(body)
    except ValueError:
        return status[0], body.decode()


def test_a_run_can_be_read_down_to_its_slots(served: Served, small: Path) -> None:
    shutil.copy(small, served.runs / "small.sqlite")
    base = "/api/runs/small.sqlite"
    _, listed = served.get("/api/runs")
    (line,) = [run for run in listed["runs"] if run["name"] == "small.sqlite"]
    assert (line["done"], line["wanted"], line["state"]) == (2, 2, "complete")
    _, digit = served.get(f"{base}/digits/0/1")
    assert [part["layer"] for part in digit["parts"]] == ["conv1"]
    _, maps = served.get(f"{base}/digits/0/1/maps")
    assert {name: found["channels"] for name, found in maps["layers"].items()} == {
        "conv1": 32,
        "conv2": 64,
        "fc1": 1024,
        "fc2": 10,
    }
    _, slot = served.get(f"{base}/digits/0/1/conv1/1/300")
    assert {trace["name"] for trace in slot["pieces"][0]["traces"]} == {"axon", "sync", "dendrite", "membrane"}
    _, kernel = served.get(f"{base}/digits/0/1/conv1/1")
    assert len(kernel["raster"]["row"]) == len(kernel["raster"]["after_s"]) > 0
    _, statistics = served.get(f"{base}/statistics")
    assert sum(statistics["timing"]["heights"]) > 0
    assert served.get("/api/compare/small.sqlite/small.sqlite")[1] == {"shared": 2, "agree": 2, "only": [0, 0]}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("digits/0/7", "digit 7 at 0 % is not part of this run: digits 0:2"),
        ("digits/0/1/fc1/0", "layer 'fc1' is not on the neuron in this run: conv1:0-1"),
        ("digits/0/1/conv1/5/0", "conv1 has no recorded slot at kernel 5, position 0"),
        ("digits/0/1/conv1/1/784", "conv1 has no recorded slot at kernel 1, position 784"),
    ],
)
def test_what_a_run_does_not_have_is_named(small: Path, path: str, message: str) -> None:
    assert ask(small.parent, f"/api/runs/small.sqlite/{path}") == (400, {"error": message})


def test_no_path_leaves_the_folder(small: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    shutil.copy(small, tmp_path / "outside.sqlite")
    (runs / "link.sqlite").symlink_to(tmp_path / "outside.sqlite")
    names = ("../outside.sqlite", "..%2foutside.sqlite", "link.sqlite", str(tmp_path / "outside.sqlite"), "..", "")
    for name in names:
        assert ask(runs, f"/api/runs/{name}/statistics")[0] == 404
    assert ask(runs, "/static/../app.py")[0] == 404
    assert ask(runs, "/static/..%2fapp.py")[0] == 404
    assert ask(runs, "/api/runs") == (200, {"runs": []})


def test_strange_names_are_names(small: Path, tmp_path: Path) -> None:
    for name in STRANGE:
        shutil.copy(small, tmp_path / name)
        assert ask(tmp_path, f"/api/runs/{name}/digits/0/0")[0] == 200
    _, listed = ask(tmp_path, "/api/runs")
    assert {run["name"] for run in listed["runs"]} == set(STRANGE)


def test_files_that_are_not_runs_say_so_in_a_line(small: Path, tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("no run" * 50)
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE t (x)").connection.close()
    shutil.copy(small, tmp_path / "wrong.sqlite")
    change(tmp_path / "wrong.sqlite", "config", '"{}"')
    shutil.copy(small, tmp_path / "shot.sqlite")
    db = sqlite3.connect(tmp_path / "shot.sqlite")
    db.execute("UPDATE shots SET pulses = X'00'")
    db.commit()
    db.close()
    _, listed = ask(tmp_path, "/api/runs")
    trouble = {run["name"]: run["trouble"] for run in listed["runs"]}
    assert "is not a run file" in trouble["text.sqlite"]
    assert "not a run file of hil" in trouble["other.sqlite"]
    assert "of another version" in trouble["wrong.sqlite"]
    status, said = ask(tmp_path, "/api/runs/shot.sqlite/digits/0/0")
    assert (status, "fails its checksum" in said["error"]) == (409, True)


def change(path: Path, key: str, value: str) -> None:
    """A fact with a checksum that fits: made by somebody who knows how."""
    db = sqlite3.connect(path)
    db.execute("UPDATE run SET value = ?, digest = ? WHERE key = ?", (value, digest((key, value)), key))
    db.commit()
    db.close()


def test_a_weights_file_that_a_run_names_is_not_opened(small: Path, tmp_path: Path) -> None:
    """A hostile run may name any file of this machine, or one that never ends."""
    shutil.copy(small, tmp_path / "hostile.sqlite")
    os.mkfifo(tmp_path / "endless")
    with RunFile.open(small) as run:
        config = json.loads(run.fact("config"))
    config |= {"weights_path": str(tmp_path / "endless"), "weights_digest": "0" * 64}
    change(tmp_path / "hostile.sqlite", "config", json.dumps(json.dumps(config)))
    status, said = ask(tmp_path, "/api/runs/hostile.sqlite/digits/0/0/maps")
    assert (status, said) == (
        400,
        {"error": "this run used other weights than those shipped; hil report shows its maps"},
    )


def test_a_page_of_another_site_gets_nothing(tmp_path: Path) -> None:
    status, said = ask(tmp_path, "/api/runs", host="evil.example")
    assert (status, said["error"][:39]) == (403, "this address is for this machine only; ")
    assert ask(tmp_path, "/api/runs", host="127.0.0.1:8017")[0] == 200
    assert ask(tmp_path, "/api/runs", host="[::1]:8017")[0] == 200


def test_over_a_network_nothing_is_said_without_the_token(tmp_path: Path) -> None:
    for path in ("/", "/api/runs", "/static/app.js", "/?token=wrong"):
        assert ask(tmp_path, path, open_to_all=False, host="bench.lab")[0] == 403
    cookie = {"cookie": f"{COOKIE}=secret", "host": "bench.lab"}
    assert ask(tmp_path, "/api/runs", open_to_all=False, **cookie)[0] == 200
    assert ask(tmp_path, "/?token=secret", open_to_all=False, host="bench.lab")[0] == 303
    assert ask(tmp_path, "/api/runs", open_to_all=False, host="bench.lab", authorization="Bearer secret")[0] == 200


def test_every_answer_tells_the_browser_to_run_nothing_else(served: Served) -> None:
    for path in ("/", "/run/x", "/static/app.js", "/api/runs", "/nowhere", "/api/runs/x/statistics"):
        connection = HTTPConnection(served.address.removeprefix("http://"))
        connection.request("GET", path)
        answer = connection.getresponse()
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        connection.close()
    assert "onerror" not in served.get("/")[1]


def test_a_shot_is_told_to_whoever_follows(served: Served, small: Path) -> None:
    name = "followed-small.sqlite"
    shutil.copy(small, served.runs / name)
    connection = HTTPConnection(served.address.removeprefix("http://"), timeout=30)
    connection.request("GET", f"/api/runs/{name}/events")
    stream = connection.getresponse()
    assert heard(stream, "run")["wanted"] == 2
    assert [digit["index"] for digit in heard(stream, "digits")] == [0, 1]
    assert heard(stream, "state")["state"] == "complete"
    with RunFile.open(served.runs / name, write=True) as run:
        assert writer(run.path) == os.getpid()
        run.add_event("note", "<b>bold</b>")
        assert heard(stream, "state")["events"][-1][1:] == ["note", "<b>bold</b>"]
    connection.close()


def heard(stream: Any, wanted: str) -> Any:
    """The data of the next event of a kind."""
    kind = ""
    for raw in stream:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        if line.startswith("data: ") and kind == wanted:
            return json.loads(line.removeprefix("data: "))
    raise AssertionError(f"the stream ended before {wanted}")


def test_asking_whether_a_run_is_written_does_not_keep_anybody_from_writing_it(small: Path) -> None:
    """The lock itself may not be tried: for that moment a run that begins would be refused."""
    assert writer(small) is None
    held = lock(small)
    try:
        assert in_use(small)
        assert writer(small) == os.getpid()
    finally:
        os.close(held)
    assert not in_use(small)


@pytest.mark.parametrize("text", ["8017", "localhost", "localhost:port", ":1", "host:70000"])
def test_where_to_listen_is_checked(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--bind", text]) == 2
    assert f"--bind {text}: give HOST:PORT" in capsys.readouterr().err


def test_where_to_listen() -> None:
    assert parse_bind("[::1]:80") == ("::1", 80)
    assert parse_bind("bench.lab:8017") == ("bench.lab", 8017)
