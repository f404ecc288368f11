"""Records: the texts to score, with the fields they came with."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.conversation import Conversation, read_messages
from ..errors import Errors, SettingsError
from .file_names import suffix_of

STANDARD = "-"  # standard input or output

# Records that are scored together. Another size would change the last digits of the
# scores, because texts in a packed batch are multiplied together.
BATCH = 128

PART = 32 * BATCH  # records in a file of an output folder

# Levels of lists and objects in a field. Python's limit, which depends on who calls,
# would decide otherwise whether a result can be written.
_MAX_DEPTH = 100


@dataclass(frozen=True)
class Source:
    """Where to read records from."""

    name: str  # a path, or `STANDARD`
    form: str  # one of `FORMATS`
    text_key: str  # the field or column with the text

    @property
    def is_stream(self) -> bool:
        """RETURNS (bool): Whether it can be read only once, as a pipe."""
        path = Path(self.name)
        return self.name == STANDARD or not (path.is_file() or path.is_dir())


@dataclass(frozen=True)
class Record:
    """One record of an input."""

    number: int  # from 1
    fields: dict[str, Any]  # empty if they could not be read
    text: str
    problem: str | None = None  # why it cannot be scored; never quotes the text
    line: int | None = None  # of a text file, from 1: where the record begins
    conversation: Conversation | None = None  # if the field holds messages

    @property
    def name(self) -> str:
        """RETURNS (str): What messages call it. Its number does not count blank lines
        and the heads of tables, but editors do."""
        line = "" if self.line is None else f" (line {self.line})"
        return f"Record {self.number}{line}"


class BrokenRecordError(ValueError):
    """Why a record cannot be read. The message never quotes the text."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object, for the `object_pairs_hook` of `json.loads`. Of a
    key that is there twice, another reader of the file may take the other value.

    pairs (List[Tuple[str, Any]]): Its keys and values.
    RETURNS (Dict[str, Any]): The same, with each key once.
    RAISES (BrokenRecordError): A key is there twice.
    """
    content = dict(pairs)
    if len(content) < len(pairs):
        raise BrokenRecordError("a JSON object has a key twice")
    return content


Row = dict[str, Any] | BrokenRecordError  # what a reader makes of a line or a row


def make_record(
    number: int, row: Row, text_key: str, *, line: int | None = None
) -> Record:
    """Make a record, and note what is wrong with it.

    number (int): Its number in the input.
    row (Union[Dict[str, Any], BrokenRecordError]): Its fields, or why there are none.
    text_key (str): The field with the text.
    line (Optional[int]): Where it begins in a text file.
    RETURNS (Record): The record, with a problem if it has no valid text. It keeps its
        fields all the same, so that its result can be joined with others.
    """
    if isinstance(row, BrokenRecordError):
        return Record(number, {}, "", str(row), line)
    fields = {key: row[key] for key in row if can_be_written(key, row[key])}
    try:
        if len(fields) < len(row):
            raise BrokenRecordError(
                f"a field is nested more than {_MAX_DEPTH} levels deep, or its name "
                "has a NUL or an unpaired surrogate"
            )
        text, conversation = _get_text(fields, text_key)
        return Record(number, fields, text, line=line, conversation=conversation)
    except BrokenRecordError as e:
        return Record(number, fields, "", str(e), line)


def can_be_written(name: str, value: Any) -> bool:
    """name (str): The name of a field.
    value (Any): Its value.
    RETURNS (bool): Whether every format of results can hold it."""
    if "\0" in name or not is_unicode(name):  # Parquet ends names at a NUL
        return False
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [item for parent in level for item in _children(parent)]
        if not level:
            return True
    return False


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def make_records(rows: Iterable[Row], text_key: str) -> Iterator[Record]:
    """rows (Iterable[Union[Dict[str, Any], BrokenRecordError]]): All rows of a table.
    text_key (str): The field with the text.
    YIELDS (Record): The records, numbered from 1."""
    for number, row in enumerate(rows, start=1):
        yield make_record(number, row, text_key)


def _get_text(fields: dict[str, Any], key: str) -> tuple[str, Conversation | None]:
    """RETURNS (Tuple[str, Optional[Conversation]]): The text, and the conversation if
    the field holds a list of messages."""
    if key not in fields:
        raise BrokenRecordError(f"no field '{key}'")
    value, conversation = fields[key], None
    if isinstance(value, list) and value and all(map(_is_object, value)):
        try:
            conversation = read_messages(value)
        except SettingsError as e:
            raise BrokenRecordError(str(e)) from e
    text = value if conversation is None else conversation.text
    if not isinstance(text, str):
        kind = "null" if text is None else f"of type '{type(text).__name__}'"
        raise BrokenRecordError(f"'{key}' is {kind}, not a string")
    if not is_unicode(text):
        raise BrokenRecordError("the text has an unpaired surrogate")
    return text, conversation


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def is_unicode(text: str) -> bool:
    """text (str): Any string.
    RETURNS (bool): Whether it is free of unpaired surrogates."""
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return False
    return True


def check_columns(columns: list[str], text_key: str, *, name: str) -> None:
    """Check the columns of a table.

    columns (List[str]): Their names.
    text_key (str): The column with the texts.
    name (str): The name of the table, for messages.
    RAISES (SettingsError): There is no such column, or two have the same name.
    """
    if text_key not in columns:
        # Without a header, the names of columns are texts.
        message = Errors.E136.format(name=name, key=text_key, count=len(columns))
        raise SettingsError(message)
    check_unique(columns, name=name)


def check_unique(columns: list[str], *, name: str) -> None:
    """Check that each column of a table has a name of its own.

    columns (List[str]): Their names.
    name (str): The name of the table, for messages.
    RAISES (SettingsError): Two have the same name.
    """
    if len(set(columns)) < len(columns):
        raise SettingsError(
            Errors.E139.format(name=name, problem="two columns have the same name")
        )


def list_files(path: Path, *suffixes: str) -> list[Path]:
    """path (Path): A file, or a folder of files.
    suffixes (str): The suffixes to look for. ".jsonl" finds "a.jsonl.gz", too.
    RETURNS (List[Path]): The files with these suffixes by name, without hidden ones.
    RAISES (SettingsError): One of a folder is a pipe, a device or a socket, which might
        be waited for forever."""
    if path.is_file():
        return [path] if _is_listed(path, suffixes) else []
    files = [file for file in sorted(path.glob("*")) if _is_listed(file, suffixes)]
    for file in files:
        if file.exists() and not (file.is_file() or file.is_dir()):
            problem = "it's not a regular file"
            raise SettingsError(Errors.E139.format(name=file, problem=problem))
    return files


def _is_listed(file: Path, suffixes: Sequence[str]) -> bool:
    return suffix_of(file) in suffixes and file.name[0] not in "._"
