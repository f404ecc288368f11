"""Rows of CSV files, apart from what `score` makes of them."""

import io

from spacy_duoguard.scoring.csv_rows import csv_rows


def test_rows_that_are_collected_after_their_file_end_quietly():
    with io.BytesIO(b"text\na\nb\n") as handle:
        rows = csv_rows(handle, "excel")
        assert next(rows.__enter__()) == (1, ["text"])
    assert rows.__exit__(None, None, None) is False
