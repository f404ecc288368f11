"""Loading from the hub: a loopback server stands in for it."""

import socket

import numpy as np
import pytest
import spacy
from support.checkpoints import QWEN2, TEXTS, shard, write_checkpoint
from support.hub import Hub

from spacy_duoguard.engine.checkpoint.bundle import PROVENANCE
from spacy_duoguard.engine.checkpoint.published import PUBLISHED
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.errors import CheckpointError, DownloadError
from spacy_duoguard.taxonomy import CATEGORIES

FILES = ["config.json", "tokenizer.json", "model.safetensors"]
NO_COMMIT = "0" * 40


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub


@pytest.fixture
def client(hub, tmp_path):
    """This process takes the server for the hub; nothing is cached yet."""
    with hub.client(tmp_path / "home"):
        yield


def load(name="owner/name", **changes):
    return Classifier.from_pretrained(
        name, **{"precision": "float32", "device": "cpu", **changes}
    )


def failed(code, name="owner/name", **changes):
    """Loading raises the coded error. RETURNS the error."""
    with pytest.raises(DownloadError, match=code) as caught:
        load(name, **changes)
    assert caught.value.__cause__ is not None
    return caught.value


def split(folder):
    """Move the tokenizer of a checkpoint to a folder of its own. RETURNS it."""
    home = folder.parent / f"{folder.name}-tokenizer"
    home.mkdir()
    (folder / "tokenizer.json").rename(home / "tokenizer.json")
    return home


def asked(hub, filename):
    """The revisions by which a file was asked for."""
    paths = [path for _, path in hub.requests if path.endswith(f"/{filename}")]
    return {path.split("/resolve/")[1].split("/")[0] for path in paths}


@pytest.fixture
def expected(classifier):
    return classifier.score(TEXTS)


# What loads


def test_one_repository_scores_as_the_folder(hub, client, qwen2_folder, expected):
    commit = hub.add("owner/name", qwen2_folder)
    loaded = load()
    assert np.array_equal(loaded.score(TEXTS), expected)
    assert loaded.provenance == {
        "model": "owner/name",
        "revision": "main",
        "commit": commit,
        "tokenizer": None,
        "tokenizer_revision": "main",
        "tokenizer_commit": commit,
    }


@pytest.mark.parametrize(
    ("name", "tokenizer", "home"),
    [
        ("owner/name", "owner/tok", "owner/tok"),
        ("DuoGuard/DuoGuard-0.5B", None, "Qwen/Qwen2.5-0.5B"),
        ("DuoGuard/DuoGuard-1.5B-transfer", None, "Qwen/Qwen2.5-1.5B"),
        ("DuoGuard/DuoGuard-1B-Llama-3.2-transfer", None, "meta-llama/Llama-3.2-1B"),
        ("DuoGuard/DuoGuard-0.5B", "owner/tok", "owner/tok"),
    ],
)
def test_the_tokenizer_comes_from_a_repository_of_its_own(
    hub, client, checkpoint, expected, name, tokenizer, home
):
    folder = checkpoint()
    tokenizer_commit = hub.add(home, split(folder))
    commit = hub.add(name, folder)
    loaded = load(name, tokenizer=tokenizer)
    assert np.array_equal(loaded.score(TEXTS), expected)
    assert tokenizer or PUBLISHED[name].tokenizer == home
    assert loaded.provenance["commit"] == commit
    assert loaded.provenance["tokenizer"] == home
    assert loaded.provenance["tokenizer_commit"] == tokenizer_commit
    # Of the tokenizer's repository nothing else is looked at.
    assert {path.rsplit("/", 1)[1] for _, path in hub.requests if home in path} == {
        "tokenizer.json"
    }


def test_through_the_component(hub, client, checkpoint, expected, tmp_path):
    folder = checkpoint()
    hub.add("owner/tok", split(folder))
    commit = hub.add("owner/name", folder)
    nlp = spacy.blank("en")
    spacy.blank("en").add_pipe("duoguard", config={"model": {"name": "no/such"}})
    model = {"name": "owner/name", "tokenizer": "owner/tok"}
    model.update(precision="float32", device="cpu")
    pipe = nlp.add_pipe("duoguard", config={"model": model})
    assert not hub.requests  # the factory builds, no more
    rows = [[doc.cats[key] for key in CATEGORIES] for doc in nlp.pipe(TEXTS)]
    assert np.array_equal(np.asarray(rows, "f4"), expected)
    assert pipe.classifier.provenance["commit"] == commit
    nlp.to_disk(tmp_path / "saved")
    hub.stop()
    saved = spacy.load(tmp_path / "saved")
    assert saved(TEXTS[0]).cats == nlp(TEXTS[0]).cats
    provenance = saved.get_pipe("duoguard").classifier.provenance
    assert provenance == pipe.classifier.provenance


def test_a_pinned_commit_stays_when_the_branch_moves_on(hub, client, tmp_path):
    old_folder = write_checkpoint(tmp_path / "old", QWEN2)
    new_folder = write_checkpoint(tmp_path / "new", QWEN2, seed=1)
    old, new = hub.add("owner/name", old_folder), hub.add("owner/name", new_folder)
    hub.add("owner/name", old_folder, branch="v1")
    scores = {key: load(str(tmp_path / key)).score(TEXTS) for key in ("old", "new")}
    assert not np.array_equal(scores["old"], scores["new"])
    for revision, commit, key in [
        ("main", new, "new"),
        (old, old, "old"),
        ("v1", old, "old"),
        (new, new, "new"),
    ]:
        loaded = load(revision=revision)
        assert np.array_equal(loaded.score(TEXTS), scores[key])
        assert loaded.provenance["commit"] == commit
        assert loaded.provenance["revision"] == revision


@pytest.mark.parametrize("which", ["revision", "tokenizer_revision"])
def test_a_server_that_sends_another_commit_is_refused(hub, client, checkpoint, which):
    folder = checkpoint()
    commit = hub.add("owner/name", folder)
    hub.add("owner/name", folder, branch=NO_COMMIT)  # which it takes for a branch
    pinned = {which: NO_COMMIT, "tokenizer": "owner/name"}
    with pytest.raises(DownloadError, match=f"E334.*{NO_COMMIT}.*{commit}"):
        load(**pinned)
    load(**{**pinned, which: commit})


def test_what_is_no_name_is_refused():
    for name in (None, 5, ""):
        with pytest.raises(CheckpointError, match=f"E020.*'{name}'"):
            load(name)


def test_a_pinned_tokenizer(hub, client, checkpoint, expected, tmp_path):
    folder = checkpoint()
    good = hub.add("owner/tok", split(folder))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "tokenizer.json").write_text("{}")
    hub.add("owner/tok", tmp_path / "bad")
    hub.add("owner/name", folder)
    with pytest.raises(CheckpointError, match=r"E018.*owner/tok"):
        load(tokenizer="owner/tok")
    loaded = load(tokenizer="owner/tok", tokenizer_revision=good)
    assert np.array_equal(loaded.score(TEXTS), expected)
    assert loaded.provenance["tokenizer_commit"] == good


def test_all_files_of_a_load_are_of_the_commit_of_the_first(hub, client, qwen2_folder):
    commit = hub.add("owner/name", qwen2_folder)
    load()
    assert asked(hub, FILES[0]) == {"main"}
    assert asked(hub, FILES[1]) == asked(hub, FILES[2]) == {commit}


def test_a_branch_that_moves_during_a_load_does_not_mix_commits(
    hub, client, tmp_path, monkeypatch
):
    old = hub.add("owner/name", write_checkpoint(tmp_path / "old", QWEN2))
    write_checkpoint(tmp_path / "new", QWEN2, seed=1)
    scores = load(str(tmp_path / "old")).score(TEXTS)
    moved = []

    def move(**settings):
        moved.append(hub.add("owner/name", tmp_path / "new"))
        return

    # After the configuration and the tokenizer, before the weights.
    module = "spacy_duoguard.engine.checkpoint.bundle"
    monkeypatch.setattr(f"{module}.check_windows", move)
    loaded = load()
    assert moved
    assert np.array_equal(loaded.score(TEXTS), scores)
    assert loaded.provenance["commit"] == old


@pytest.mark.parametrize("n", [2, 3])
def test_shards(hub, client, checkpoint, expected, n):
    folder = checkpoint()
    shard(folder, n)
    commit = hub.add("owner/name", folder)
    assert np.array_equal(load().score(TEXTS), expected)
    assert asked(hub, f"model-0000{n}-of-0000{n}.safetensors") == {commit}


def test_nothing_but_what_is_needed_is_downloaded(hub, client, checkpoint):
    folder = checkpoint()
    for name in ("pytorch_model.bin", "modeling.py", PROVENANCE, "vocab.json"):
        (folder / name).write_text("{}")
    hub.add("owner/name", folder)
    load()
    assert {path.rsplit("/", 1)[1] for _, path in hub.requests} == set(FILES)


# The cache


def test_the_second_load_needs_no_network(hub, client, checkpoint, expected):
    folder = checkpoint()
    hub.add("owner/tok", split(folder))
    commit = hub.add("owner/name", folder)
    first = load(tokenizer="owner/tok")
    hub.stop()
    for revision in ("main", commit):
        again = load(tokenizer="owner/tok", revision=revision)
        assert np.array_equal(again.score(TEXTS), expected)
        assert again.provenance == {**first.provenance, "revision": revision}


def test_the_second_load_of_shards_needs_no_network(hub, client, checkpoint, expected):
    folder = checkpoint()
    shard(folder, 2)
    hub.add("owner/name", folder)
    load()
    hub.stop()
    assert np.array_equal(load().score(TEXTS), expected)


def test_a_local_folder_needs_no_network(client, qwen2_folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    load(str(qwen2_folder))


# What fails


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_a_missing_file_is_named(hub, client, checkpoint, missing):
    folder = checkpoint()
    (folder / missing).unlink()
    hub.add("owner/name", folder)
    with pytest.raises(CheckpointError, match=f"E017.*owner/name has no {missing}"):
        load()


@pytest.mark.parametrize("other", ["pytorch_model.bin", "model.gguf"])
def test_weights_in_another_format_are_refused(hub, client, checkpoint, other):
    folder = checkpoint()
    (folder / FILES[2]).rename(folder / other)
    hub.add("owner/name", folder)
    with pytest.raises(CheckpointError, match=r"E017.*owner/name.*safetensors only"):
        load()
    assert not asked(hub, other)


def test_a_missing_shard_is_named(hub, client, checkpoint):
    folder = checkpoint()
    shard(folder, 2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    hub.add("owner/name", folder)
    with pytest.raises(CheckpointError, match=r"E017.*owner/name.*model-00002"):
        load()


def test_a_checkpoint_that_does_not_fit_is_refused_before_its_weights(
    hub, client, checkpoint
):
    hub.add("owner/name", checkpoint(vocab_size=5000))
    with pytest.raises(CheckpointError, match=r"E019.*owner/name"):
        load()
    assert not asked(hub, FILES[2])


@pytest.mark.parametrize("token", [None, "hf_some"])
def test_a_missing_repository(hub, tmp_path, token):
    with hub.client(tmp_path / "home", token):
        assert "HF_TOKEN" in str(failed("E031.*'owner/name'"))


def test_a_missing_tokenizer_repository(hub, client, checkpoint):
    folder = checkpoint()
    split(folder)
    hub.add("owner/name", folder)
    failed("E031.*'owner/tok'", tokenizer="owner/tok")


@pytest.mark.parametrize("revision", ["v9", NO_COMMIT])
def test_a_missing_revision(hub, client, qwen2_folder, revision):
    hub.add("owner/name", qwen2_folder)
    failed(f"E032.*'owner/name'.*'{revision}'", revision=revision)
    failed(
        f"E032.*'owner/name'.*'{revision}'",
        str(qwen2_folder),
        tokenizer="owner/name",
        tokenizer_revision=revision,
    )


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_repository_names_the_token(hub, client, qwen2_folder, status):
    hub.add("owner/name", qwen2_folder)
    hub.gate("owner/name", status)
    assert "HF_TOKEN" in str(failed("E030.*'owner/name'"))


def test_a_gated_tokenizer_names_the_token(hub, client, checkpoint):
    folder = checkpoint()
    name = "DuoGuard/DuoGuard-1B-Llama-3.2-transfer"
    hub.add("meta-llama/Llama-3.2-1B", split(folder))
    hub.add(name, folder)
    hub.gate("meta-llama/Llama-3.2-1B")
    assert "HF_TOKEN" in str(failed("E030.*'meta-llama/Llama-3.2-1B'", name))


def test_the_right_token_opens_a_gate(hub, tmp_path, qwen2_folder, expected):
    hub.add("owner/name", qwen2_folder)
    hub.gate("owner/name", token="hf_right")
    with hub.client(tmp_path / "home", "hf_wrong"):
        error = failed("E030")
        assert "hf_wrong" not in str(error)
    with hub.client(tmp_path / "home", "hf_right"):
        assert np.array_equal(load().score(TEXTS), expected)


@pytest.mark.parametrize("filename", FILES)
def test_a_dropped_connection_fails_and_a_mended_one_loads(
    hub, client, qwen2_folder, expected, filename
):
    hub.add("owner/name", qwen2_folder)
    hub.drop(filename, 100)
    failed(f"E033.*'{filename}' of 'owner/name'")
    hub.drop(filename, None)
    assert np.array_equal(load().score(TEXTS), expected)


def test_without_network_and_cache_the_remedies_are_named(hub, client, qwen2_folder):
    hub.add("owner/name", qwen2_folder)
    hub.stop()
    error = str(failed("E033.*'config.json' of 'owner/name'"))
    assert all(word in error for word in ("network", "HF_HUB_OFFLINE", "local folder"))
    assert not hub.requests


def test_offline_by_setting_asks_nobody(hub, client, qwen2_folder, monkeypatch):
    from huggingface_hub import constants, utils

    hub.add("owner/name", qwen2_folder)
    hub.add("owner/other", qwen2_folder)
    load()
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    if hasattr(utils, "reset_sessions"):  # 0.x reads the setting once per session
        utils.reset_sessions()
    load()
    failed("E033.*'owner/other'.*HF_HUB_OFFLINE", "owner/other")
    assert not hub.requests


@pytest.mark.parametrize("name", ["no-such-folder", "./no/such", "a/b/c", "", "/x/y"])
def test_a_name_that_is_neither_folder_nor_repository(hub, client, name):
    with pytest.raises(CheckpointError, match="E020"):
        load(name)
    assert not hub.requests


def test_another_tokenizer_of_a_saved_folder_is_noted(
    hub, client, classifier, tmp_path
):
    classifier.to_disk(tmp_path / "saved")
    commit = hub.add("owner/tok", tmp_path / "saved")
    provenance = load(str(tmp_path / "saved"), tokenizer="owner/tok").provenance
    assert provenance["tokenizer"] == "owner/tok"
    assert provenance["tokenizer_commit"] == commit
