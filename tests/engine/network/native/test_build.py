"""What is compiled, where it lies, and what is loaded."""

import os
import stat
import subprocess
import sys

import pytest

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.network.native import build, probe
from spacy_duoguard.errors import SettingsError

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the kernels are for Linux"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    probe.check_products.cache_clear()
    build.load_library.cache_clear()
    yield tmp_path / "cache" / "spacy-duoguard" / "native"
    build.load_library.cache_clear()
    probe.check_products.cache_clear()


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A stand-in that writes its arguments as the library, and counts its calls."""
    script = tmp_path / "compiler"
    script.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "arguments = sys.argv[1:]\n"
        "if '-E' in arguments:\n"
        f"    print(open({str(tmp_path / 'macros')!r}).read())\n"
        "else:\n"
        f"    open({str(tmp_path / 'calls')!r}, 'a').write('x')\n"
        "    open(arguments[arguments.index('-o') + 1], 'w').write('a library')\n"
    )
    script.chmod(0o700)
    (tmp_path / "macros").write_text("#define __AVX2__ 1")
    (tmp_path / "calls").write_text("")
    monkeypatch.setenv("CC", str(script))
    loaded = []
    monkeypatch.setattr(build, "CDLL", lambda path: loaded.append(path) or path)
    return tmp_path


def load():
    build.load_library.cache_clear()
    return build.load_library()


def calls(folder):
    return len((folder / "calls").read_text())


def test_compiled_once_for_all_processes(compiler, cache):
    first = load()
    assert load() == first
    assert calls(compiler) == 1
    assert [path.suffix for path in cache.iterdir()] == [".so"]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_another_processor_or_compiler_is_another_library(compiler, cache):
    first = load()
    (compiler / "macros").write_text("#define __AVX512F__ 1")
    assert load() != first
    assert calls(compiler) == 2


def test_another_source_is_another_library(compiler, cache, tmp_path, monkeypatch):
    first = load()
    source = tmp_path / "source"
    source.mkdir()
    (source / "forward.c").write_text("int changed;")
    monkeypatch.setattr(build, "SOURCE", source)
    assert load() != first


@pytest.mark.parametrize("change", ["other bytes", "cut off", "a link"])
def test_a_library_that_was_changed_is_not_loaded(compiler, cache, tmp_path, change):
    first = load()
    (path,) = cache.iterdir()
    if change == "a link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_bytes(b"other" if change == "other bytes" else b"")
    assert load() == first
    assert calls(compiler) == 2
    assert path.is_file()
    assert not path.is_symlink()


@pytest.mark.parametrize("problem", ["open", "link", "file"])
def test_a_folder_of_others_is_refused(cache, tmp_path, problem):
    cache.parent.mkdir(parents=True)
    if problem == "open":
        cache.mkdir()
        cache.chmod(0o770)
    elif problem == "link":
        (tmp_path / "target").mkdir(mode=0o700)
        cache.symlink_to(tmp_path / "target")
    else:
        cache.write_text("")
    with pytest.raises(SettingsError, match="E235"):
        build.cache_folder()


def test_a_folder_of_another_user_is_refused(cache, monkeypatch):
    build.cache_folder()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SettingsError, match=r"E235.*another user"):
        build.cache_folder()


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    with pytest.raises(SettingsError, match="E233"):
        load()


@pytest.mark.parametrize("command", ["/does/not/exist", "false"])
def test_a_compiler_that_fails(command, monkeypatch):
    monkeypatch.setenv("CC", command)
    with pytest.raises(SettingsError, match="E234"):
        load()


def test_a_library_that_cannot_be_loaded(compiler, monkeypatch):
    def refuse(path):
        raise OSError("invalid ELF header")

    monkeypatch.setattr(build, "CDLL", refuse)
    with pytest.raises(SettingsError, match="E234"):
        load()


def test_another_system(monkeypatch):
    monkeypatch.setattr(build.sys, "platform", "win32")
    with pytest.raises(SettingsError, match="E232"):
        load()


def test_torch_scores_where_there_is_no_compiler(qwen2_folder, monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    name = str(qwen2_folder)
    classifier = Classifier.from_pretrained(name, kernels="native", device="cpu")
    with pytest.warns(UserWarning, match=r"W020.*E233"):
        scores = classifier.score(["a text"])
    plain = Classifier.from_pretrained(name, device="cpu")
    assert (scores == plain.score(["a text"])).all()
    assert isinstance(classifier.runner.forward(), CpuForward)
    assert classifier.runner.fallbacks.counts["the native kernels aren't used"] == 1


def test_nothing_is_compiled_unless_it_is_asked_for(qwen2_folder, cache, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    Classifier.from_pretrained(str(qwen2_folder), device="cpu").score(["a text"])
    assert not cache.exists()
