"""Only regular files are opened: reading a pipe or a device may wait forever."""

import os
import random
import shutil
import stat
import threading

import pytest
import spacy
from support.checkpoints import QWEN2, shard, write_checkpoint

from spacy_duoguard.engine.checkpoint.atomic_folder import replace_folder, staged
from spacy_duoguard.engine.checkpoint.files import open_regular, read_text
from spacy_duoguard.engine.checkpoint.manifest import add_manifest, digest_file
from spacy_duoguard.engine.checkpoint.safetensors import open_tensors
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.errors import CheckpointError, DuoGuardError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs pipes and links")

LIMIT = 10  # seconds

SAVED = [
    "cfg",
    "manifest.json",
    "model",
    "model/config.json",
    "model/duoguard.json",
    "model/manifest.json",
    "model/model.safetensors",
    "model/tokenizer.json",
    "vocab",
]
WEIGHTS = "model.safetensors"
CHECKPOINT = ["config.json", "tokenizer.json", WEIGHTS, "manifest.json"]
SHARDED = ["model.safetensors.index.json", "model-00002-of-00002.safetensors"]

MAKE = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    "dangling link": lambda path: os.symlink(path.parent / "nowhere", path),
    "circular link": lambda path: os.symlink(path, path),
    "link to a long name": lambda path: os.symlink("a" * 300, path),
    "link to null": lambda path: os.symlink("/dev/null", path),
    "link to zeros": lambda path: os.symlink("/dev/zero", path),
    "empty": lambda path: path.touch(),
    "hole": lambda path: (path.touch(), os.truncate(path, 2**42)),
}
IRREGULAR = [kind for kind in MAKE if kind not in ("empty", "hole")]


def replace(path, kind):
    """Replace a file or folder by something else. RETURNS the path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    MAKE[kind](path)
    return path


def error_of(load):
    """Call a function in a thread. RETURNS what it raised within the limit."""
    caught = []

    def work():
        try:
            load()
        except BaseException as e:
            caught.append(e)
        else:
            caught.append(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive(), "it waits forever"
    return caught[0]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A saved pipeline, and its component."""
    folder = tmp_path_factory.mktemp("pipeline")
    name = str(write_checkpoint(folder / "checkpoint", QWEN2))
    nlp = spacy.blank("en")
    model = {"name": name, "precision": "float32", "device": "cpu"}
    component = nlp.add_pipe("duoguard", config={"model": model})
    nlp.to_disk(folder / "nlp")
    component.to_disk(folder / "nlp" / "duoguard")  # with the vocab
    return folder / "nlp", component


@pytest.fixture
def copy(pipeline, tmp_path):
    return shutil.copytree(pipeline[0], tmp_path / "nlp")


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("name", SAVED)
def test_a_saved_component_with_something_else_for_a_file_is_refused(
    pipeline, copy, name, kind
):
    replace(copy / "duoguard" / name, kind)
    error = error_of(lambda: pipeline[1].from_disk(copy / "duoguard"))
    assert isinstance(error, CheckpointError), error
    if kind == "pipe" and name != "vocab":  # which spaCy does not ask for
        assert str(error) == str(error_of(lambda: spacy.load(copy)))
    if kind in IRREGULAR and name != "model":
        assert "E103" in str(error) or "E108" in str(error)


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("name", [*CHECKPOINT, "duoguard.json", *SHARDED])
def test_a_checkpoint_with_something_else_for_a_file_is_refused(checkpoint, name, kind):
    folder = checkpoint()
    if name in SHARDED:
        shard(folder, 2)
    replace(folder / name, kind)
    error = error_of(lambda: Classifier.from_pretrained(str(folder), device="cpu"))
    assert isinstance(error, CheckpointError), error
    if kind in IRREGULAR:
        assert "E108" in str(error)


@pytest.mark.parametrize("kind", MAKE)
def test_a_file_of_another_kind_is_refused_after_an_interrupted_save(copy, kind):
    folder = copy / "duoguard"
    (folder / ".duoguard-staged").mkdir()
    for name in ("cfg", "manifest.json"):
        os.rename(folder / name, folder / ".duoguard-staged" / name)
    spacy.load(copy)
    replace(folder / ".duoguard-staged" / "manifest.json", kind)
    assert isinstance(error_of(lambda: spacy.load(copy)), CheckpointError)


@pytest.mark.parametrize("kind", IRREGULAR)
@pytest.mark.parametrize("read", [read_text, digest_file, open_tensors, open_regular])
def test_nothing_but_a_regular_file_is_read(tmp_path, read, kind):
    path = replace(tmp_path / "file", kind)
    error = error_of(lambda: read(path))
    assert isinstance(error, (CheckpointError, OSError)), error
    assert isinstance(error, CheckpointError) or "link" in kind


def test_a_file_that_turns_into_a_pipe_is_not_waited_for(tmp_path, monkeypatch):
    """Between the check and the opening."""
    path, other = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(path)
    other.touch()
    status = os.stat(other)
    monkeypatch.setattr(os, "stat", lambda *args, **kwargs: status)
    error = error_of(lambda: open_regular(path))
    assert "E108" in str(error)


def test_links_in_a_checkpoint_are_followed(checkpoint, tmp_path):
    """As in the cache of `huggingface_hub`."""
    folder = checkpoint()
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for name in CHECKPOINT[:3]:
        (folder / name).rename(blobs / name)
        (folder / name).symlink_to(blobs / name)
    Classifier.from_pretrained(str(folder), device="cpu")


def test_a_file_that_is_too_large_is_not_read_to_its_end(checkpoint):
    folder = checkpoint()
    (folder / "LICENSE").write_text("terms")
    add_manifest(folder)
    Classifier.from_pretrained(str(folder), device="cpu")
    replace(folder / "LICENSE", "hole")
    error = error_of(lambda: Classifier.from_pretrained(str(folder), device="cpu"))
    assert "E102" in str(error)


def test_any_damage_ends_in_a_coded_error(pipeline, tmp_path):
    """Several files at once, chosen at random."""
    saved, component = pipeline
    choice = random.Random(1)
    for i in range(60):
        copy = shutil.copytree(saved, tmp_path / str(i))
        for name in choice.sample(SAVED, choice.randint(1, 3)):
            path = copy / "duoguard" / name
            if path.parent.is_dir() and not path.parent.is_symlink():
                replace(path, choice.choice(list(MAKE)))
        error = error_of(lambda copy=copy: component.from_disk(copy / "duoguard"))
        assert isinstance(error, DuoGuardError), error
        shutil.rmtree(copy)


@pytest.mark.parametrize("kind", [*MAKE])
@pytest.mark.parametrize("name", ["cfg", "manifest.json", "model", "model/config.json"])
def test_saving_replaces_or_refuses_what_is_not_a_file(copy, name, kind):
    nlp = spacy.load(copy)
    replace(copy / "duoguard" / name, kind)
    error = error_of(lambda: nlp.to_disk(copy))
    if error is None:
        spacy.load(copy)
    else:
        assert isinstance(error, (CheckpointError, OSError)), error


def test_keeping_files_does_not_wait_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "manifest.json")

    def save():
        with staged(tmp_path, keep=True) as aside:
            (aside / "file").touch()

    assert "E108" in str(error_of(save))


@pytest.mark.parametrize("kind", IRREGULAR)
def test_replacing_a_folder_does_not_wait_for_what_has_its_name(tmp_path, kind):
    names = ("folder", ".folder.duoguard-new", ".folder.duoguard-old")
    for name in names:
        replace(tmp_path / name, kind)

    def save():
        with replace_folder(tmp_path / "folder") as aside:
            (aside / "file").touch()

    assert error_of(save) is None
    assert (tmp_path / "folder" / "file").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("kind", IRREGULAR)
def test_saving_does_not_wait_for_what_has_the_name_of_its_folder(copy, kind):
    nlp = spacy.load(copy)
    replace(copy / "duoguard" / ".duoguard-writing", kind)
    assert error_of(lambda: nlp.to_disk(copy)) is None
    spacy.load(copy)
