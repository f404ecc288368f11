"""Write corpora out as JSON lines again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
from spacy.tokens import Doc, DocBin

from ..engine.checkpoint.files import check_regular_files, write_aside
from ..engine.checkpoint.output_paths import check_output
from ..errors import Errors, SettingsError, describe_type
from ..pipeline.corpus_files import check_corpus_file
from ..pipeline.settings import SPANS_KEY
from ..scoring.compression import compress
from ..scoring.file_names import compression_of, suffix_of
from ..scoring.jsonl import to_line
from ..scoring.record import STANDARD
from ..scoring.standard_streams import standard_output
from .gold_docs import RECORDS, gold_fields, stored_records


@dataclass
class Export:
    """What was written."""

    n_docs: int = 0
    n_lines: int = 0
    n_changed: int = 0  # docs whose gold isn't that of their records any more


def list_corpora(path: Path) -> list[Path]:
    """path (Path): A .spacy file, or a folder of them.
    RETURNS (List[Path]): The files, by name; none if it is something else."""
    if path.is_dir():
        return sorted(path.rglob("*.spacy"))
    return [path] if path.suffix == ".spacy" else []


def export(
    corpus: Path, output: str, *, spans_key: str = SPANS_KEY, gold: bool = False
) -> Export:
    """Write the records that a corpus was converted from, or its gold.

    corpus (Path): A .spacy file, or a folder of them.
    output (str): A .jsonl, .jsonl.gz or .jsonl.zst file, or "-" for standard output.
    spans_key (str): The group of `doc.spans` with the gold of spans.
    gold (bool): Write the gold as `text`, `cats` and `spans`, one line per text. Docs
        without records, and those whose gold was changed, are written so anyway.
    RETURNS (Export): What was written.
    RAISES (SettingsError): The corpus can't be read, or the output can't be written.
    """
    done = Export()
    lines = _lines(corpus, spans_key, gold, done)
    if output == STANDARD:
        handle = standard_output()
        for line in lines:
            handle.write(line)
        handle.flush()
        return done
    path = Path(output)
    if suffix_of(path) != ".jsonl":
        raise SettingsError(Errors.E276.format(output=output))
    check_output(path, [corpus, *list_corpora(corpus)])
    content = compress(b"".join(lines), compression_of(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_aside(path) as aside:
        aside.write_bytes(content)
    return done


def _lines(corpus: Path, spans_key: str, gold: bool, done: Export) -> Iterator[bytes]:
    for doc in read_corpus(corpus):
        done.n_docs += 1
        records = None if gold else stored_records(doc, spans_key)
        if records is None:
            done.n_changed += not gold and RECORDS in doc.user_data
            records = iter([gold_fields(doc, spans_key)])
        for fields in records:
            done.n_lines += 1
            yield to_line(fields)


def read_corpus(corpus: Path) -> Iterator[Doc]:
    """corpus (Path): A .spacy file, or a folder of them.
    YIELDS (Doc): Its docs.
    RAISES (SettingsError): It can't be read."""
    check_regular_files(corpus)
    vocab = spacy.blank("xx").vocab
    for path in list_corpora(corpus):
        try:
            check_corpus_file(path)
            yield from DocBin().from_disk(path).get_docs(vocab)
        except SettingsError:
            raise
        except Exception as e:  # the errors of zlib and msgpack share no base class
            problem: Any = describe_type(e)
            raise SettingsError(Errors.E083.format(path=path, problem=problem)) from e
