"""A run that could not produce what an undisturbed one does is refused: another input,
options or model, a damaged state or output, or another run at work."""

import json
import os
import re
import shutil

import pytest
from safetensors.torch import load_file, save_file
from support.runs import WORDS, contents, write_texts

from spacy_duoguard.scoring.ray.folder import FolderRun
from spacy_duoguard.scoring.record import BATCH, list_files


def refuses(run, *arguments, code, out, **options):
    """Whether resuming is refused, and changes neither the output nor its state.
    RETURNS the message."""
    before = {path: path.read_bytes() for path in out.parent.glob("*out.jsonl*")}
    with pytest.raises(ValueError, match=code) as info:
        run(*arguments, out, resume=True, **options)
    after = {path: path.read_bytes() for path in out.parent.glob("*out.jsonl*")}
    assert after == before
    return str(info.value)


def test_resume_with_another_input_is_refused(run, stopped, tmp_path):
    other = write_texts(tmp_path / "other.jsonl", 2 * BATCH + 44, seed=1)
    refuses(run, other, code="E172", out=stopped)
    shorter = write_texts(tmp_path / "shorter.jsonl", 2 * BATCH - 1)
    refuses(run, shorter, code="E132", out=stopped)


def test_resume_after_a_scored_record_changed_is_refused(run, source, stopped):
    lines = source.read_text(encoding="utf8").split("\n")
    lines[4] = json.dumps({"id": 4, "text": "I will kill you"})
    source.write_text("\n".join(lines), encoding="utf8")
    message = refuses(run, source, code="E172", out=stopped)
    assert "first 256 records" in message
    assert "kill" not in message


def test_records_that_were_not_scored_may_change(run, source, stopped, tmp_path):
    lines = source.read_text(encoding="utf8").split("\n")
    lines[2 * BATCH] = json.dumps({"id": 4, "text": "another"})
    source.write_text("\n".join(lines), encoding="utf8")
    run(source, stopped, resume=True)
    run(source, tmp_path / "fresh.jsonl")
    assert stopped.read_bytes() == (tmp_path / "fresh.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"threshold": 0.4}, "duoguard.threshold"),
        ({"precision": "bfloat16"}, "duoguard.precision"),
        ({"sentences": "isolated"}, "duoguard.sents"),
        ({"normalize": True}, "duoguard.normalize"),
        ({"curve": True}, "--curve"),
        ({"batch_tokens": 2000}, "duoguard.max_batch_tokens"),
        ({"language": "en"}, "--language"),
        ({"text_key": "id"}, "--text-key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_resume_with_another_option_is_refused(run, source, stopped, options, name):
    assert name in refuses(run, source, code="E171", out=stopped, **options)


def test_resume_with_other_weights_is_refused(run, source, tmp_path, qwen2_folder):
    model = shutil.copytree(qwen2_folder, tmp_path / "model")
    out = tmp_path / "out.jsonl"
    run(source, out, model=model)
    # The same weights in another folder are the same model.
    run(source, out, model=shutil.move(model, tmp_path / "moved"), resume=True)
    weights = tmp_path / "moved" / "model.safetensors"
    tensors = load_file(weights)
    tensors["score.weight"][0, 0] += 0.01
    save_file(tensors, weights)
    message = refuses(run, source, code="E171", out=out, model=tmp_path / "moved")
    assert "model of duoguard" in message


def test_resume_with_a_changed_pipeline_is_refused(run, source, tmp_path, make_nlp):
    saved, out = tmp_path / "pipeline", tmp_path / "out.jsonl"
    make_nlp().to_disk(saved)
    run(source, out, model=saved)
    run(source, out, model=saved, resume=True)
    make_nlp(thresholds={"Hate": 0.1}).to_disk(saved)
    message = refuses(run, source, code="E171", out=out, model=saved)
    assert "duoguard.thresholds" in message


def _cut(content):
    return content[: len(content) // 2]


def _change(content):
    return content.replace(b'"records": 256', b'"records": 128')


@pytest.mark.parametrize("damage", [_cut, _change, lambda content: b"", None])
def test_resume_without_an_intact_state_is_refused(run, source, stopped, damage):
    state = stopped.with_name("out.jsonl.run.json")
    if damage is None:
        state.unlink()
    else:
        state.write_bytes(damage(state.read_bytes()))
    assert "--overwrite" in refuses(run, source, code="E170", out=stopped)
    run(source, stopped, overwrite=True)
    run(source, stopped, resume=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs")
def test_a_state_that_is_no_file_is_not_waited_for(run, source, stopped):
    state = stopped.with_name("out.jsonl.run.json")
    state.unlink()
    os.mkfifo(state)
    with pytest.raises(ValueError, match="E170"):
        run(source, stopped, resume=True)


@pytest.mark.parametrize("size", [0, 10, -1])
def test_resume_of_a_shortened_output_is_refused(run, source, stopped, size):
    stopped.write_bytes(stopped.read_bytes()[:size])
    refuses(run, source, code="E173", out=stopped)


def test_resume_of_changed_results_is_refused(run, source, stopped):
    content = stopped.read_bytes()
    assert b'"status": "error"' in content
    stopped.write_bytes(content.replace(b'"status": "error"', b'"status": "empty"', 1))
    refuses(run, source, code="E173", out=stopped)


def test_changed_parquet_results_are_refused(run, source, tmp_path, small_parts):
    out = tmp_path / "out.parquet"
    run(source, out)
    (out / "part-00000.parquet").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="E173"):
        run(source, out, resume=True)


def test_a_run_that_was_killed_before_its_first_batch_is_started_anew(
    run, source, tmp_path, small_parts
):
    out, fresh = tmp_path / "out.parquet", tmp_path / "fresh.parquet"
    out.mkdir()
    (out / ".lock").touch()
    (out / "..run.json.part").write_text("{")
    run(source, out, resume=True)
    run(source, fresh)
    assert contents(out) == contents(fresh)


@pytest.mark.parametrize("flag", ["resume", "overwrite"])
@pytest.mark.parametrize("name", ["extra.parquet", "part-1.parquet", "notes.jsonl"])
def test_what_no_run_has_written_is_not_counted_as_results(
    run, source, tmp_path, small_parts, flag, name
):
    out = tmp_path / "out.parquet"
    run(source, out)
    before = contents(out)
    shutil.copy(out / "part-00000.parquet", out / name)
    with pytest.raises(ValueError, match=f"E322.*'{name}'"):
        run(source, out, **{flag: True})
    (out / name).unlink()
    assert contents(out) == before


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
@pytest.mark.parametrize("flag", ["resume", "overwrite"])
def test_a_second_run_into_an_output_is_refused(
    start, run, source, tmp_path, small_parts, name, flag
):
    out, fresh = tmp_path / name, tmp_path / f"fresh-{name}"
    run(source, fresh)
    first = start(source, out)
    for _ in range(3):
        next(first)
    (tmp_path / "alias").symlink_to(tmp_path)
    for same in (out, tmp_path / "alias" / name):
        with pytest.raises(ValueError, match="E174"):
            run(source, same, **{flag: True})
    list(first)
    assert contents(out) == contents(fresh)
    run(source, out, **{flag: True})
    assert contents(out) == contents(fresh)


def test_the_state_says_how_far_a_run_has_come(run, source, stopped):
    state = stopped.with_name("out.jsonl.run.json")

    def read():
        saved = json.loads(state.read_text(encoding="utf8"))
        return saved["records"], saved["finished"]

    assert read() == (2 * BATCH, False)
    run(source, stopped, resume=True)
    assert read() == (2 * BATCH + 44, True)
    assert not {*WORDS[3:], str(source)} & set(re.split('[ ,"]+', state.read_text()))


def test_standard_output_leaves_nothing_behind(start, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    list(start(source, "-"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_folder_with_a_state_may_be_replaced_on_ray(run, tmp_path, small_parts):
    (tmp_path / "in").mkdir()
    source = write_texts(tmp_path / "in" / "in.jsonl", 3)
    run(source, tmp_path / "out.parquet")
    assert list_files(tmp_path / "out.parquet", ".parquet", ".json", ".lock") == [
        tmp_path / "out.parquet" / "part-00000.parquet"
    ]
    ray_run = FolderRun(source.parent, tmp_path / "out.parquet", overwrite=True)
    assert ray_run.check() == [source]
