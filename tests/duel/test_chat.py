"""Asking a server that fails in every way it can."""

import asyncio
import logging
import sys
import time
import traceback

import pytest
from support.chat_server import ChatServer, Reply, completion
from support.duels import make_settings

from spacy_duoguard.duel.answer import Answer
from spacy_duoguard.duel.chat import open_chat, quiet_clients
from spacy_duoguard.errors import DuelError, SettingsError

pytest.importorskip("openai", reason="needs the extra duel")

MESSAGES = [{"role": "user", "content": "Zorp the gleeb"}]
SOON = {"Retry-After": "0.05"}
GOOD = completion("a text")


def ask(server, tmp_path, *, times=1, **changes):
    """Ask once, or several times in a row."""
    settings = make_settings(tmp_path, server.url, generator=changes)

    async def run():
        async with open_chat(settings.generator, section="generator") as client:
            return [await client.ask(MESSAGES, seed=i) for i in range(times)]

    with quiet_clients():
        answers = asyncio.run(run())
    return answers[0] if times == 1 else answers


def always(*args, **kwargs):
    return lambda body, n: Reply(*args, **kwargs)


def then_good(*args, **kwargs):
    """A fault at the first time, an answer at the second."""
    return lambda body, n: Reply(*args, **kwargs) if n == 1 else Reply(GOOD)


FAULTS = {
    "429": (({},), {"status": 429, "headers": SOON}, "rate limited", 3),
    "500": (({},), {"status": 500, "headers": SOON}, "server error", 3),
    "503, no JSON": ((b"busy",), {"status": 503, "headers": SOON}, "server error", 3),
    "dropped": ((GOOD,), {"cut": 20}, "connection lost", 3),
    "dropped at once": ((GOOD,), {"cut": 0}, "connection lost", 3),
    "torn JSON": ((b'{"choices": [{"mess',), {}, "not JSON", 3),
    "deep JSON": ((b"[" * 100_000,), {}, "not JSON", 3),
    "no choices": (({"choices": []},), {}, "no choices", 1),
    "10 MB": ((completion("x" * 10_000_000),), {}, "too large", 1),
    "a list": (([],), {}, "wrong type", 1),
    "400": (({"error": {"message": "no"}},), {"status": 400}, "rejected", 1),
    "a redirection": (
        (b"",),
        {"status": 307, "headers": {"Location": "http://127.0.0.1:9/"}},
        "rejected",
        1,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_counted_by_kind_and_retried_within_bounds(tmp_path, fault):
    args, kwargs, kind, requests = FAULTS[fault]
    with ChatServer(always(*args, **kwargs)) as server:
        assert ask(server, tmp_path) == Answer(kind)
        assert len(server.bodies) == requests  # retries = 2


@pytest.mark.parametrize("fault", ["429", "500", "dropped", "torn JSON"])
def test_what_may_pass_is_asked_again(tmp_path, fault):
    args, kwargs, _, _ = FAULTS[fault]
    with ChatServer(then_good(*args, **kwargs)) as server:
        assert ask(server, tmp_path) == Answer("text", "a text")
        assert len(server.bodies) == 2


def test_retries_of_both_kinds_share_one_bound(tmp_path):
    def behave(body, n):
        if n == 1:
            return Reply({}, status=500, headers=SOON)
        return Reply(b"{")

    with ChatServer(behave) as server:
        assert ask(server, tmp_path) == Answer("not JSON")
        assert len(server.bodies) == 3


def test_retry_after_is_waited_for(tmp_path):
    wait = {"Retry-After": "0.6"}
    with ChatServer(then_good({}, status=429, headers=wait)) as server:
        start = time.monotonic()
        assert ask(server, tmp_path).kind == "text"
        assert time.monotonic() - start >= 0.6


@pytest.mark.parametrize("reply", [Reply(GOOD, delay=30)])
def test_requests_time_out(tmp_path, reply):
    with ChatServer(lambda body, n: reply) as server:
        start = time.monotonic()
        assert ask(server, tmp_path, timeout=0.2, retries=0) == Answer("timeout")
        assert time.monotonic() - start < 5


def test_a_body_that_trickles_times_out(tmp_path, monkeypatch):
    """Each chunk comes within the limit, but the whole doesn't."""

    def send(handler, reply):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not server.stopping.wait(0.05):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    server = ChatServer()
    server.send = send
    with server:
        start = time.monotonic()
        assert ask(server, tmp_path, timeout=0.4, retries=0) == Answer("timeout")
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_knows_neither_key_nor_model_ends_the_run(tmp_path, status):
    quoting = {"error": {"message": "not allowed: the request and its key"}}
    with (
        ChatServer(always(quoting, status=status)) as server,
        pytest.raises(DuelError, match=f"E292.*{status}") as error,
    ):
        ask(server, tmp_path)
    shown = "".join(traceback.format_exception(error.value))
    assert "not allowed" not in shown


def test_the_request_holds_what_was_set_and_no_key_of_another_service(
    tmp_path, monkeypatch
):
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-another-service")
    changes = {"temperature": 0.5, "top_p": 0.25, "max_tokens": 7}
    with ChatServer() as server:
        ask(server, tmp_path, **changes)
        (body,), (headers,) = server.bodies, server.headers
    assert {name: body[name] for name in changes} == changes
    assert (body["model"], body["seed"], body["messages"]) == ("stub", 0, MESSAGES)
    assert "of-another-service" not in str(headers)


def test_the_key_comes_from_the_variable_that_is_named(tmp_path, monkeypatch):
    with ChatServer() as server:
        with pytest.raises(SettingsError, match=r"E291.*DUEL_KEY"):
            ask(server, tmp_path, api_key_env="DUEL_KEY")
        monkeypatch.setenv("DUEL_KEY", "the-key")
        ask(server, tmp_path, api_key_env="DUEL_KEY")
        assert server.headers[-1]["authorization"] == "Bearer the-key"


@pytest.mark.parametrize("key", ["a\n", " a", "a b", "a\u2013b", "ÿ", "a\x7f"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(
    tmp_path, monkeypatch, key
):
    monkeypatch.setenv("DUEL_KEY", key)
    with ChatServer() as server:
        with pytest.raises(SettingsError, match=r"E291.*DUEL_KEY") as error:
            ask(server, tmp_path, api_key_env="DUEL_KEY")
        assert server.bodies == []
    assert repr(key) not in str(error.value)


def test_texts_for_this_machine_go_through_no_proxy(tmp_path, monkeypatch):
    with ChatServer() as proxy, ChatServer() as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert ask(server, tmp_path).kind == "text"
        assert (len(proxy.bodies), len(server.bodies)) == (0, 1)


def test_without_a_model_the_server_is_asked_for_its_only_one(tmp_path):
    with ChatServer() as server:
        ask(server, tmp_path, model=None)
        assert server.bodies[0]["model"] == "stub"
        server.models = ("one", "two")
        with pytest.raises(DuelError, match=r"E294.*2 models"):
            ask(server, tmp_path, model=None)


def test_nothing_is_logged_even_at_debug(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
            caplog.set_level(logging.DEBUG, logger=name)
        with ChatServer(then_good({}, status=500, headers=SOON)) as server:
            ask(server, tmp_path)
    assert not [r for r in caplog.records if "gleeb" in r.getMessage()]
    assert not [r for r in caplog.records if r.name.split(".")[0] == "openai"]


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with ChatServer() as server, pytest.raises(SettingsError, match=r"\[duel\]"):
        ask(server, tmp_path)
