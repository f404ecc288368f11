"""Fields that JSON, Parquet or Python can't hold cost no more than their record."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spacy_duoguard.review.documents import read_document, read_documents
from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.ray.dataset import ScoreTexts
from spacy_duoguard.scoring.ray.shard_scorer import _read_lines
from spacy_duoguard.scoring.ray.shards import make_plan
from spacy_duoguard.scoring.run import ScoreRequest, open_source, score_file
from spacy_duoguard.taxonomy import UNSAFE

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")


@pytest.fixture
def options(qwen2_folder):
    return GuardOptions(str(qwen2_folder), device="cpu", precision="float32")


@pytest.fixture
def score(options):
    """A function that scores a file. RETURNS the results."""

    def run(source, output):
        request = ScoreRequest(
            open_source(str(source)), str(output), options, overwrite=True
        )
        list(score_file(request))
        if output.is_file():
            return [json.loads(line) for line in output.read_bytes().splitlines()]
        return parquet.read_table(output).to_pylist()

    return run


def nested(depth, inner="0"):
    return "[" * depth + inner + "]" * depth


LINES = [
    '{"id": 1, "text": "a"}',
    f'{{"id": 2, "text": "b", "x": {nested(600)}, "y": "\\ud800"}}',
    f'{{"id": 3, "text": "c", "x": {nested(101, "{}")}}}',
    f'{{"id": 4, "text": "d", "x": {nested(99)}, "y": "\\ud800"}}',
    '{"id": 5, "text": "e", "\\ud800": 1}',
    '{"id": 6, "text": "f", "z": {"\\ud800": 1}}',
    f'{{"id": 7, "text": "g", "n": {10**400}, "m": {{"n": {10**400}}}}}',
    '{"id": 8, "text": "h", "": 1, "ID": 2, "a.b": 4}',
    f'{{"id": {2**63}, "text": "i", "n": -1e300}}',
    '{"id": 10, "text": "j", "": null, "\\u0000": null}',
    '{"id": 11, "text": {"secret": "words"}}',
]
STATUSES = [
    "ok",
    "error",
    "error",
    "ok",
    "error",
    "ok",
    "ok",
    "ok",
    "ok",
    "error",
    "error",
]


@pytest.mark.parametrize("output", ["out.jsonl", "out.parquet"])
def test_odd_fields_cost_at_most_their_record(score, tmp_path, output):
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(LINES), encoding="ascii")
    results = score(source, tmp_path / output)
    assert [result["status"] for result in results] == STATUSES
    ids = [*range(1, 9), 2**63, 10, 11]
    assert [int(result["id"]) for result in results] == ids
    for result in results:
        assert (result["status"] == "error") == (result["cats"][UNSAFE] == 1.0)
    assert "nested more than 100 levels" in results[1]["error"]
    assert (results[7][""], results[7]["ID"]) == (1, 2)
    documents = list(read_documents(tmp_path / output))
    assert [document.status for document in documents] == STATUSES


def test_odd_fields_go_through_ray(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(LINES), encoding="ascii")
    (shard,) = make_plan([source], 2**24).shards
    records = [record for _, record in _read_lines(shard, "text")]
    assert [record.fields["id"] for record in records] == [*range(1, 9), 2**63, 10, 11]


def test_values_of_tables_that_python_cannot_hold(score, options, tmp_path):
    raw = pa.array([b"a", b"\xff", b"c", b"d"])
    texts = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    when = pa.array([0, 0, 10**12, 0], pa.timestamp("s"))
    columns = {"id": [1, 2, 3, 4], "text": texts, "when": when}
    parquet.write_table(pa.table(columns), tmp_path / "in.parquet")
    results = score(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    assert [result["status"] for result in results] == ["ok", "error", "error", "ok"]
    assert "can't be read (UnicodeDecodeError)" in results[1]["error"]
    parquet.write_table(
        pa.table({"text": texts, "cats": [1] * 4}), tmp_path / "results.parquet"
    )
    documents = list(read_documents(tmp_path / "results.parquet"))
    assert [document.status for document in documents] == ["error"] * 4
    table = ScoreTexts(options)(pa.table({"id": [1, 2, 3, 4], "text": texts}))
    assert table.column("id").to_pylist() == [1, 2, 3, 4]
    statuses = table.column("status").to_pylist()
    assert statuses == ["ok", "error", "ok", "ok"]


def test_a_page_of_results_with_deep_fields():
    deep = []
    for _ in range(5000):
        deep = [deep]
    document = read_document({"text": "a", "status": "error", "id": 1, "x": deep}, 1)
    assert document.fields == {"id": "1", "x": "(can't be shown)"}


ANY_TEXT = st.text(alphabet=st.characters(), max_size=5)  # with lone surrogates
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=10,
)


@given(
    rows=st.lists(st.dictionaries(ANY_TEXT, JSON, max_size=4), min_size=1, max_size=4)
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_fields_give_one_result_per_line(score, tmp_path, rows):
    source = tmp_path / "in.jsonl"
    lines = [json.dumps({"text": "a", **row}) for row in rows]
    source.write_text("\n".join(lines), encoding="ascii")
    statuses = [
        [result["status"] for result in score(source, tmp_path / output)]
        for output in ("out.jsonl", "out.parquet")
    ]
    assert statuses[0] == statuses[1]
    assert len(statuses[0]) == len(rows)
