"""What the README and the docs show in Python and in configs works."""

import tempfile

import pytest
import spacy
from support.documents import DOCS, PAGES, blocks, read, sections
from thinc.api import Config

from spacy_duoguard.duel.settings import parse_settings

pytestmark = pytest.mark.filterwarnings("ignore:.W001")

NEEDS = "# needs: "

# The sections of a config of a duel.
DUEL = ("seeds", "generator", "judge", "filters", "guard", "rounds")

# Sections that a whole config has above those of the component.
PARENTS = (
    "[components]",
    "[components.duoguard]",
    "[initialize]",
    "[initialize.components]",
)


def snippets():
    """Each block alone; in the reference, those of a section together."""
    for page in PAGES:
        text = read(page)
        parts = sections(text, 2) if page == DOCS / "api.md" else {"": text}
        for title, part in parts.items():
            found = blocks(part, "python")
            alone = found if not title else [b for b in found if b.startswith(NEEDS)]
            together = [block for block in found if block not in alone]
            for i, block in enumerate([*alone, *filter(None, ["".join(together)])]):
                yield pytest.param(block, id=f"{page.stem}-{title or i}-{i}")


def configs(*sections):
    """The blocks that begin with one of the sections. Each block is in a test."""
    for page in PAGES:
        for i, block in enumerate(blocks(read(page), "ini")):
            section = block.lstrip("[").partition("]")[0].split(".")[0]
            known = ("components", "corpora", "initialize", "training", *DUEL)
            assert section in known, block
            if section in sections:
                yield pytest.param(block, id=f"{page.stem}-{i}")


@pytest.mark.parametrize("snippet", list(snippets()))
def test_snippets_run(snippet, tmp_path, monkeypatch, capsys):
    if snippet.startswith(NEEDS):
        module = snippet.partition("\n")[0].removeprefix(NEEDS)
        if module == "ray":
            pytest.skip(
                "starts a Ray: tests/scoring/ray/test_cluster.py does what it shows"
            )
        if module == "network":
            pytest.skip("downloads: tests/engine/test_download.py does what it shows")
        pytest.importorskip(module, reason=f"needs {module}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    exec(compile(snippet, "snippet", "exec"), {"__name__": "snippet"})
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("block", list(configs("training")))
def test_score_weights_count_only_what_is_trained(block):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("duoguard", config={"model": {"name": "demo"}})
    weights = Config().from_str(f"[training]\n{block}")["training"]["score_weights"]
    nlp.config = nlp.config.merge({"training": {"score_weights": weights}})
    combined = nlp.config["training"]["score_weights"]
    assert {key for key, weight in combined.items() if weight} == {
        "duoguard_unsafe_auprc"
    }


@pytest.mark.parametrize("block", list(configs("corpora")))
def test_configs_make_a_corpus(block):
    parents = '[paths]\ntrain = "train.spacy"\n[corpora]\n'
    if "[corpora.train]\n" not in block:
        parents += '[corpora.train]\n@readers = "spacy.Corpus.v1"\npath = "a"\n'
        parents += "gold_preproc = false\nmax_length = 0\nlimit = 0\n"
    config = Config().from_str(parents + block)
    (corpus,) = spacy.registry.resolve(config)["corpora"].values()
    assert callable(corpus)


@pytest.mark.parametrize("block", list(configs(*DUEL)))
def test_configs_make_a_duel(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder-of-a-chat-model").mkdir()
    seeds = {"train": "seeds.jsonl", "dev": "dev.jsonl"}
    parse_settings({"seeds": seeds, **Config().from_str(block)})


@pytest.mark.parametrize("block", list(configs("components", "initialize")))
def test_configs_make_a_component(block):
    if "spacy-transformers" in block:
        pytest.importorskip("spacy_transformers", reason="it has the span getters")
    missing = [f"{parent}\n" for parent in PARENTS if f"{parent}\n" not in block]
    config = Config().from_str("".join(missing) + block)
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    settings = config["components"]["duoguard"]
    settings.pop("factory", None)
    guard = nlp.add_pipe("duoguard", config=settings)
    initialize = config["initialize"]["components"].get("duoguard", {})
    assert settings or initialize
    assert initialize.keys() <= {"labels"}
    for label in initialize.get("labels", []):
        assert guard.add_label(label) == 1
