"""What the name of a file says about its format and compression."""

from pathlib import Path

FORMATS: tuple[str, ...] = ("txt", "jsonl", "csv", "tsv", "parquet")

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


def suffix_of(path: str | Path) -> str:
    """path (Union[str, Path]): A file.
    RETURNS (str): The suffix that shows its format, in lower case: ".jsonl" for
        "a.jsonl" and "a.jsonl.gz". A Parquet file can't be compressed as a whole, so
        that of "a.parquet.gz" is ".gz"."""
    path = Path(path)
    inner = Path(path.stem).suffix.lower()
    if compression_of(path) is None or inner == ".parquet":
        return path.suffix.lower()
    return inner


def format_of(path: str | Path) -> str | None:
    """path (Union[str, Path]): A file.
    RETURNS (Optional[str]): One of `FORMATS`, or None if its name shows none of them.
    """
    form = suffix_of(path)[1:]
    return form if form in FORMATS else None


def compression_of(path: str | Path) -> str | None:
    """path (Union[str, Path]): A file.
    RETURNS (Optional[str]): "gzip", "zstd", or None."""
    return _COMPRESSIONS.get(Path(path).suffix.lower())
