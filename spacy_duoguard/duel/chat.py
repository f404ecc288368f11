"""Ask a chat endpoint, with the openai client."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from ..errors import DuelError, Errors, SettingsError
from .answer import Answer, read_answer
from .endpoint_url import is_local
from .prompts import Messages
from .settings import Endpoint

_LIMIT = 2**20  # bytes of an answer
_MAY_SUCCEED = ("timeout", "connection lost", "not JSON")  # after the headers
_NO_KEY = "none"  # the client insists on a key
_LOGGERS = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")


@contextmanager
def quiet_clients() -> Iterator[None]:
    """Keep texts out of logs: at the level DEBUG, HTTP clients log what they send."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def read_key(endpoint: Endpoint, *, section: str) -> str:
    """endpoint (Endpoint): The server.
    section (str): Its section in the config, for messages.
    RETURNS (str): The key, from the environment. Without `api_key_env`, none is sent:
        not even the one of another service, which the client would find by itself.
    RAISES (SettingsError): The variable isn't set, or isn't a key."""
    name = endpoint.api_key_env
    if name is None:
        return _NO_KEY
    key, problem = os.environ.get(name, ""), None
    if not key:
        problem = "isn't set"
    elif not (key.isascii() and key.isprintable() and " " not in key):
        # No header could hold it. A line break at its end comes from a file.
        problem = "holds a space, a line break or a character that isn't ASCII"
    if problem is not None:
        message = Errors.E291.format(section=section, name=name, problem=problem)
        raise SettingsError(message)
    return key


class Chat:
    """A server that is asked. Use it inside `open_chat`."""

    def __init__(self, client: Any, endpoint: Endpoint, model: str) -> None:
        self.client = client
        self.endpoint = endpoint
        self.model = model

    async def ask(self, messages: Messages, *, seed: int) -> Answer:
        """Ask for one answer. At most `retries` more requests are sent if the first one
        fails: what the client repeats by itself counts.

        messages (List[Dict[str, str]]): The messages.
        seed (int): What a server that can should seed its sampling with.
        RETURNS (Answer): What came of it.
        RAISES (DuelError): The server doesn't know the key or the model.
        """
        left = self.endpoint.retries
        while True:
            answer, taken = await self._request(messages, seed=seed, retries=left)
            left -= taken + 1
            if answer.kind not in _MAY_SUCCEED or left < 0:
                return answer

    async def _request(
        self, messages: Messages, *, seed: int, retries: int
    ) -> tuple[Answer, int]:
        """RETURNS (Tuple[Answer, int]): The answer, and how many retries it took."""
        import openai

        request = self.client.with_options(max_retries=retries).chat.completions
        try:
            async with request.with_streaming_response.create(
                model=self.model,
                messages=messages,
                temperature=self.endpoint.temperature,
                top_p=self.endpoint.top_p,
                max_tokens=self.endpoint.max_tokens,
                seed=seed,
                stream=False,
            ) as response:
                body = await self._read(response)
                taken = response.retries_taken
        except openai.APITimeoutError:
            return Answer("timeout"), retries
        except openai.APIConnectionError:
            return Answer("connection lost"), retries
        except openai.APIStatusError as e:
            status = e.status_code
        else:
            return (body if isinstance(body, Answer) else read_answer(body)), taken
        # Not in the block: an error's context would quote the server, which may quote
        # the request and its key.
        return Answer(self._kind_of_status(status)), retries

    async def _read(self, response: Any) -> bytes | Answer:
        """The body of a response, unless it's too large or isn't complete."""
        try:
            body = b""
            async with _limited_to(self.endpoint.timeout):
                async for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > _LIMIT:
                        return Answer("too large")
            return body
        except (TimeoutError, asyncio.TimeoutError):
            return Answer("timeout")
        except Exception:  # the transport's errors: they share no public base class
            return Answer("connection lost")

    def _kind_of_status(self, status: int) -> str:
        if status in (401, 403, 404):
            message = Errors.E292.format(status=status, model=self.model)
            raise DuelError(message)
        if status == 429:
            return "rate limited"
        return "server error" if status >= 500 or status in (408, 409) else "rejected"


@asynccontextmanager
async def _limited_to(seconds: float) -> AsyncIterator[None]:
    """`asyncio.timeout`, which Python 3.10 doesn't have."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        if task is not None:
            task.cancel()

    handle = loop.call_later(seconds, expire)
    try:
        yield
    except asyncio.CancelledError:
        if not expired:
            raise
        if task is not None and hasattr(task, "uncancel"):
            task.uncancel()
        raise TimeoutError from None
    finally:
        handle.cancel()


@asynccontextmanager
async def open_chat(endpoint: Endpoint, *, section: str) -> AsyncIterator[Chat]:
    """endpoint (Endpoint): The server.
    section (str): Its section in the config, for messages.
    YIELDS (Chat): A client of it.
    RAISES (SettingsError): A key is missing, or the extra isn't installed.
    RAISES (DuelError): The model isn't given, and the server doesn't name just one."""
    try:
        import openai
    except ImportError as e:
        raise SettingsError(Errors.E293.format(package="openai")) from e
    address = endpoint.endpoint or ""
    # A proxy, or a redirection, would send texts for this machine to another one.
    http = openai.DefaultAsyncHttpxClient(
        trust_env=not is_local(address), follow_redirects=False
    )
    # Those of another service, which the client would take from the environment.
    others: Any = {
        "OpenAI-Organization": openai.Omit(),
        "OpenAI-Project": openai.Omit(),
    }
    client = openai.AsyncOpenAI(
        base_url=address,
        api_key=read_key(endpoint, section=section),
        timeout=endpoint.timeout,
        max_retries=endpoint.retries,
        http_client=http,
        default_headers=others,
    )
    async with client:
        model = endpoint.model or await _only_model(client)
        yield Chat(client, endpoint, model)


async def _only_model(client: Any) -> str:
    import openai

    try:
        models = [model.id async for model in client.models.list()]
        problem = f"{len(models)} models"
    except openai.OpenAIError as e:
        models, problem = [], type(e).__name__
    if len(models) != 1:  # not in the block, as above
        raise DuelError(Errors.E294.format(problem=problem))
    return str(models[0])
