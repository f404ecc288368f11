"""Fixtures with tiny checkpoints. They are built in code: nothing is stored or
downloaded."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from hypothesis import settings
from spacy.lang.en import English
from spacy.language import BaseDefaults, Language
from support.checkpoints import LLAMA, QWEN2, make_tokenizer, write_checkpoint
from support.failures import BAD

from spacy_duoguard.engine import user_warnings
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.prefix_scores import Query
from spacy_duoguard.engine.text_scores import TextScores

# The models are too small to gain from a second thread.
torch.set_num_threads(1)

# Each run draws the same examples, however busy the machine is.
settings.register_profile("seeded", deadline=None, derandomize=True)
settings.load_profile("seeded")


@pytest.fixture(autouse=True)
def no_warning_shown() -> Iterator[None]:
    """Warnings are shown once per process, so each test starts like a process. So does
    each fixture of a module."""
    user_warnings._shown.clear()
    yield
    user_warnings._shown.clear()


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk() -> Iterator[None]:
    """No test cuts the power, so none waits until its files are on the disk. `os.fstat`
    refuses bad descriptors, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_tokenizer_exceptions() -> Iterator[None]:
    """No test is about what spaCy makes of "don't" or ":-)", and each pipeline adds the
    1,300 exceptions of English to its tokenizer anew, which takes 0.1 s."""
    with pytest.MonkeyPatch.context() as patch:
        for defaults in (BaseDefaults, English.Defaults):
            patch.setattr(defaults, "tokenizer_exceptions", {})
        yield


@pytest.fixture(scope="session")
def qwen2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Qwen2 with Qwen2.5's added tokens."""
    return write_checkpoint(tmp_path_factory.mktemp("qwen2"), QWEN2)


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama with `llama3` scaling and a tokenizer that adds BOS."""
    folder = tmp_path_factory.mktemp("llama")
    return write_checkpoint(folder, LLAMA, tokenizer=make_tokenizer(bos=True))


@pytest.fixture(scope="session")
def classifier(qwen2_folder: Path) -> Classifier:
    return Classifier.from_pretrained(
        str(qwen2_folder), precision="float32", device="cpu"
    )


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Make a checkpoint with changes to the config of `qwen2_folder`:
    `checkpoint(rope_theta=10000.0)`. A value of `...` removes the key."""

    def make(base: dict[str, Any] = QWEN2, **changes: Any) -> Path:
        return write_checkpoint(tmp_path / "checkpoint", base, **changes)

    return make


@pytest.fixture
def make_nlp(qwen2_folder: Path) -> Callable[..., Language]:
    """Make a pipeline with `qwen2_folder`, and a sentencizer if `sents` is set:
    `make_nlp(sents=True, model={"window": 64})`."""

    def make(**config: Any) -> Language:
        nlp = spacy.blank("en")
        if config.get("sents"):
            nlp.add_pipe("sentencizer")
        model = {
            "name": str(qwen2_folder),
            "precision": "float32",
            "device": "cpu",
            **config.pop("model", {}),
        }
        nlp.add_pipe("duoguard", config={**config, "model": model})
        return nlp

    return make


@pytest.fixture
def breaking(
    make_nlp: Callable[..., Language], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Language]:
    """Make a pipeline that raises the given error for texts that contain BAD."""

    def make(error: BaseException, **config: Any) -> Language:
        nlp = make_nlp(**config)
        classifier = nlp.get_pipe("duoguard").classifier
        answer = classifier.answer

        def failing(queries: list[Query], **kwargs: Any) -> list[TextScores]:
            if any(BAD in query.text for query in queries):
                raise error
            return answer(queries, **kwargs)

        monkeypatch.setattr(classifier, "answer", failing)
        return nlp

    return make
