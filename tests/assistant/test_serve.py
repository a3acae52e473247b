"""The ways in, by the SDK's client: the command over standard input and output; HTTP with token, Host, Origin."""

import asyncio
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import httpx2 as httpx
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from neurolm.assistant.serve import require_token
from neurolm.cli import main
from neurolm.core.errors import ConfigError

from .conftest import QUESTION

TOKEN = "a-token-of-the-tests-0123456789"


def command(place, *more):
    return [sys.executable, "-m", "neurolm", "mcp", "--model", str(place.run), "--folder", str(place.folder), *more]


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def test_an_assistant_starts_the_command_and_asks_by_standard_input(place, tmp_path):
    program, *arguments = command(place, "--device", "cpu")
    parameters = StdioServerParameters(command=program, args=arguments, env=environment(), cwd=str(tmp_path))

    async def run():
        async with Client(stdio_client(parameters)) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            listed = await client.call_tool("list_recordings")
            asked = {"file": "a.edf", "question": QUESTION}
            wrong = await client.call_tool("ask", asked | {"reading": {"cap": "none"}})
            return tools, listed, await client.call_tool("ask", asked), wrong

    tools, listed, answer, wrong = asyncio.run(run())
    assert "ask" in tools and "a.edf" in listed.structured_content["recordings"]
    assert not answer.is_error and "no diagnosis" in answer.structured_content["verdict"]
    # an assistant gives fields of `reading`, no flags of a command
    assert wrong.is_error and "cap='none'" in wrong.content[0].text and "--cap" not in wrong.content[0].text


def test_nothing_but_the_protocol_is_printed(place):
    """What is sent is no message: the answer, if any, is one of the protocol, and the process ends with its input."""
    done = subprocess.run(
        command(place), input=b"this is no message\n", capture_output=True, timeout=120, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert all(line.startswith(b'{"jsonrpc"') for line in done.stdout.splitlines())


@contextmanager
def listening(place, *more, token=TOKEN):
    with subprocess.Popen(
        command(place, "--http", "--port", "0", *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(NEUROLM_TOKEN=token),
    ) as process:  # fmt: skip
        try:
            line = process.stdout.readline()
            found = re.search(r"http://\S+/mcp", line)
            assert found, line + (process.stderr.read() if process.poll() is not None else "")
            yield found[0]
        finally:
            process.terminate()
            process.wait(20)


INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}  # fmt: skip
ACCEPT = {"Accept": "application/json, text/event-stream"}


def test_http_asks_for_the_token_host_and_origin(place):
    with listening(place) as url:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": f"Basic {TOKEN}"}, 401),
            (bearer, 200),
            (bearer | {"Host": "evil.example"}, 421),
            (bearer | {"Host": "evil.example:8766"}, 421),
            (bearer | {"Origin": "http://evil.example"}, 403),
            (bearer | {"Origin": "null"}, 403),
        ):
            answered = httpx.post(url, json=INITIALIZE, headers=ACCEPT | headers, timeout=30)
            assert answered.status_code == status, (headers, answered.text)
        assert httpx.get(url.replace("/mcp", "/"), timeout=30).status_code == 401

        async def run():
            async with (
                httpx.AsyncClient(headers=bearer, timeout=60) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                return await client.call_tool("ask", {"file": "a.edf", "question": QUESTION})

        answer = asyncio.run(run())
        assert not answer.is_error and "no diagnosis" in answer.structured_content["verdict"]


@pytest.mark.parametrize("token", [None, "", "short", "with blanks in it all", "with-ümlauts-0123456789"])
def test_no_token_or_a_weak_one_is_refused(token):
    with pytest.raises(ConfigError, match="NEUROLM_TOKEN"):
        require_token(token)


def test_the_command_refuses_what_it_cannot_serve(place, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("NEUROLM_TOKEN", raising=False)
    given = ["mcp", "--model", str(place.run), "--folder", str(place.folder)]
    assert main([*given, "--http", "--host", "0.0.0.0"]) == 2
    assert "every request must carry one" in capsys.readouterr().err
    assert main([*given, "--http", "--token-file", str(tmp_path / "none")]) == 2
    assert "--token-file" in capsys.readouterr().err
    assert main(["mcp", "--model", str(place.run), "--folder", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["mcp", "--model", str(tmp_path), "--folder", str(place.folder)]) == 2


def test_without_the_package_the_extra_is_named(place, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("neurolm.assistant", "mcp."))] + ["mcp"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp", "--model", str(place.run), "--folder", str(place.folder)]) == 2
    assert "pip install 'neurolm[mcp]'" in capsys.readouterr().err
