"""The last run of the demo's training on noise, which has seen documents, and what is
added to weights."""

import numpy as np
import pytest
from support.demo_noise import learn, weights, write_constant, write_taught

from spacy_duoguard.engine.classifier import Classifier


def make_sentences(load):
    """Safe and unsafe ones, from which documents are composed."""
    make, targets = load("demo.sentences").Taught, (np.zeros(12), np.ones(12))
    return [
        make(f"{word} sentence of the number {i}.", "row", target.astype(np.float32))
        for word, target in zip(("safe", "unsafe"), targets, strict=True)
        for i in range(9)
    ]


def test_documents_are_drawn_for_a_step_alone(load):
    taught = make_sentences(load)
    one, two = (
        load("demo.taught_draws").TaughtTexts(taught, seed=seed) for seed in (1, 2)
    )
    other = one.draw_documents(6, 20)
    drawn = one.draw_documents(7, 20)
    assert drawn == one.draw_documents(7, 20)
    assert other != drawn != two.draw_documents(7, 20)
    assert {text.count("unsafe") for text in drawn} == {0, 1}
    assert all(4 <= text.count(".") <= 16 or "un" not in text for text in drawn)


def test_documents_of_a_step_have_what_the_teacher_scores(
    load, small, evaluation_files, tmp_path, watched
):
    taught, path = make_sentences(load), tmp_path / "taught.jsonl"
    write_taught(taught, path)
    options = ("--taught", path, "--n-taught", 1, "--documents", 2, "--steps", 3)
    learn(load, evaluation_files, small, tmp_path / "out", *options)
    start = Classifier.from_pretrained(str(small), precision="float32", device="cpu")
    draws = load("demo.taught_draws").TaughtTexts(taught, seed=0)
    assert len(watched) == 3
    for step, items in enumerate(watched):
        assert len(items) == 14
        for text in draws.draw_documents(step, 2):
            ids = start.tokenizer.encode(text).ids
            (item,) = [item for item in items if tuple(item.ids) == tuple(ids)]
            assert not item.is_changed
            np.testing.assert_allclose(item.target, start.score([text])[0], atol=1e-5)


def test_prompts_have_what_their_teacher_scores(
    load, small, evaluation_files, tmp_path, watched
):
    other = tmp_path / "other"
    learn(load, evaluation_files, small, other, "--steps", 5, "--rate", 0.05)
    watched.clear()
    options = ("--prompts", 5, "--of-prompts", other, "--steps", 3)
    learn(load, evaluation_files, small, tmp_path / "out", *options)
    teacher = Classifier.from_pretrained(str(other), precision="float32", device="cpu")
    rows = load("demo.data").read_rows(evaluation_files, "rtp_lx_prompt")
    rows = [row for row in rows if row.part > 1]
    draws = load("demo.noised").NoisedTexts(rows, seed=1000, mixed=0.7, listed=0.3)
    assert len(watched) == 3
    for step, items in enumerate(watched):
        assert len(items) == 17
        for pair in draws.draw(step, 5, 0):
            ids = teacher.tokenizer.encode(pair.text).ids
            known = [item for item in items if tuple(item.ids) == tuple(ids)]
            expected = teacher.score([pair.text])[0]
            assert any(np.allclose(of.target, expected, atol=1e-5) for of in known)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--documents", 1), "which need it"),
        (("--prompts", 1), "need each other"),
        (("--taught", "x.jsonl"), "which need it"),
        (("--n-taught", 2), "which need it"),
        (("--taught", "x.jsonl", "--n-taught", 5), "--n-taught is the number"),
    ],
)
def test_labelled_texts_are_some_of_the_plain_ones(
    load, tmp_path, capsys, options, message
):
    with pytest.raises(SystemExit):
        learn(load, tmp_path, "demo", tmp_path / "out", *options)
    assert message in capsys.readouterr().err


def test_what_a_training_has_changed_is_added_to_another_checkpoint(
    load, evaluation_files, tmp_path
):
    folders = [
        write_constant(load, evaluation_files, tmp_path / name, value)
        for name, value in (("noise", 4.0), ("start", 1.0), ("trained", 3.0))
    ]
    out = tmp_path / "sum"
    load("demo.add").main([*map(str, folders), str(out), "--share", "0.25"])
    assert {float(x) for p in weights(out) for x in p.flat} == {4.5}


def test_a_shift_adds_to_all_logits_of_a_text(load, evaluation_files, small):
    rows = load("demo.data").read_rows(evaluation_files, "openai")
    texts = sorted({row.text for row in rows}, key=lambda text: -len(text))
    classifier = Classifier.from_pretrained(
        str(small), precision="float32", device="cpu"
    )
    before = classifier.score(texts)
    added = load("demo.shift").shift(classifier, texts, 0.5)
    after = classifier.score(texts)
    change = np.log(after / (1 - after)) - np.log(before / (1 - before))
    np.testing.assert_allclose(change, np.repeat(change[:, :1], 12, 1), atol=1e-3)
    np.testing.assert_allclose(sorted(change[:, 0]), sorted(added), atol=1e-3)
    # Least squares: what is added is as near to 0.5 as the outputs can be.
    fit = added / 0.5
    assert fit.mean() > 0.2
    assert np.mean(fit**2) == pytest.approx(fit.mean(), rel=1e-3)
