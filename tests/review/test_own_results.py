"""The review page shows each result that `score` writes with the status it has."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spacy_duoguard.review.documents import read_documents
from spacy_duoguard.scoring.jsonl import to_line
from spacy_duoguard.scoring.parquet import result_columns, to_table
from spacy_duoguard.scoring.record import make_records
from spacy_duoguard.scoring.scorer import RecordScorer

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")

TEXTS = st.one_of(
    st.text(),
    st.text(alphabet=" \n\t\u200b\xad\ufe0f\x00\x85"),
    st.sampled_from(["", "How to kill. A dog. ", "x" * 300, "\ud800 a", None, 3]),
)


@pytest.fixture(params=[False, True], ids=["texts", "sentences and curves"])
def scorer(make_nlp, request):
    more = {"sents": True, "curve": True} if request.param else {}
    nlp = make_nlp(
        **more, threshold=0.3, model={"max_windows": 1, "window": 64, "stride": 48}
    )
    return RecordScorer(nlp, curve=request.param)


@given(texts=st.lists(TEXTS, min_size=1, max_size=8))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_result_keeps_its_status(scorer, tmp_path, texts):
    records = list(make_records([{"text": text} for text in texts], "text"))
    results = scorer.score(records)
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"".join(map(to_line, results)))
    columns = [pa.field("text", pa.string())]
    columns += result_columns(scorer.labels, scorer.columns)
    parquet.write_table(to_table(results, columns), tmp_path / "results.parquet")
    expected = [(result["status"], result.get("error")) for result in results]
    for name in ("results.jsonl", "results.parquet"):
        documents = list(read_documents(tmp_path / name))
        assert [(document.status, document.note) for document in documents] == expected
        for document, result in zip(documents, results, strict=True):
            assert list(document.flags) == (
                [] if document.status == "error" else result["flags"]
            )
