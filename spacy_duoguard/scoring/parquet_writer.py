"""Write results as a folder of Parquet files.

Each part holds the results of whole batches, up to a number of records or a size, and
appears only once it is complete. All parts have the same columns, which are settled
before scoring starts.
"""

import stat
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.checkpoint.files import write_aside
from ..errors import Errors, SettingsError
from .batches import PART_SIZE, size_of
from .parquet import to_table
from .parquet_schema import load_pyarrow
from .record import PART
from .results import agree, output_names
from .run_state import Mark
from .watch import check_written, identify

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

    import pyarrow

_CHUNK = 2**22


class ParquetWriter:
    """Writes a folder of Parquet files. A resumed run keeps the full parts that an
    earlier run has vouched for, and verifies that scoring the last batch in them again
    gives the same results."""

    def __init__(
        self,
        path: Path,
        input_fields: "Sequence[pyarrow.Field]",
        result_fields: "Sequence[pyarrow.Field]",
        earlier: Mark,
    ) -> None:
        """Nothing is written before `open`.

        path (Path): The folder.
        input_fields (Sequence[pyarrow.Field]): The columns of the input.
        result_fields (Sequence[pyarrow.Field]): The columns of results.
        earlier (Mark): The point that the run to resume has reached.
        RAISES (SettingsError): The folder does not hold the results of that run.
        """
        self._pa = load_pyarrow()
        names = output_names([field.name for field in input_fields])
        renamed = [
            field.with_name(name)
            for field, name in zip(input_fields, names, strict=True)
        ]
        self._schema = self._pa.schema([*renamed, *result_fields])
        self.path = path
        self.written = 0
        self._n_parts = 0
        self._n_earlier = 0
        self._digest = sha256()
        self._parts: dict[Path, tuple[tuple[int, int] | None, int]] = {}
        self._mode: int | None = None
        self._results: list[dict] = []
        self._result_size = 0
        self._kept = self._last = (0, 0)  # as in `Mark`
        self._to_verify: list[dict] = []
        if earlier.records or earlier.finished:
            self._keep_full_parts(earlier)
        self.start = self._last[0]

    @property
    def mark(self) -> Mark:
        """The point up to which results are written."""
        return Mark(
            self.written,
            output=self._digest.hexdigest(),
            size=self._n_parts if self.written else 0,
            kept=self._kept,
            last=self._last,
        )

    def open(self) -> None:
        """Begin to write, after the parts that are kept. Others are removed, except for
        the last one of a finished run, or of one that `strict` stopped: it isn't full,
        but its results stay until they are written again."""
        parts = sorted(self.path.glob("part-*.parquet"))
        kept = {self._part(i) for i in range(self._n_earlier)}
        if parts:  # others may not read what they could not read before
            self._mode = stat.S_IMODE(parts[0].stat().st_mode)
        for file in [*self.path.glob(".part-*"), *parts]:
            if file not in kept:
                file.unlink()
        for part in kept:
            self._note(part)

    def write(
        self, results: Sequence[dict], *, is_full: bool = False, is_last: bool = False
    ) -> None:
        """results (Sequence[dict]): The next results.
        is_full (bool): Whether they are those of a full batch.
        is_last (bool): Whether the run stops after them, without being finished.
        RAISES (SettingsError): The folder holds other results for these records."""
        if self._to_verify:
            rows = to_table(results, self._schema).to_pylist()
            if len(rows) != len(self._to_verify) or not all(
                map(agree, rows, self._to_verify)
            ):
                raise self._differs(self.start + len(rows))
            self._to_verify = []
            return
        begin = self.written + len(self._results)
        self._results += results
        self._result_size += sum(map(size_of, results))
        is_complete = len(self._results) >= PART or self._result_size >= PART_SIZE
        if is_full and is_complete:
            self._write_part()
            self._last = begin, self._n_parts - 1
            self._kept = self.written, self._n_parts
        elif is_last and self._results:
            self._write_part()

    def sync(self) -> None:
        """Parts are on disk once they appear. Check that they still are there.

        RAISES (SettingsError): Another program has removed or changed a part."""
        for part, (identity, size) in self._parts.items():
            if identify(part) != identity:
                raise SettingsError(Errors.E223.format(path=self.path))
            check_written(part, output=self.path, handle=None, size=size)

    def close(self, *, finished: bool) -> None:
        """finished (bool): Whether all of the input was scored: if so, the last part is
        written.
        RAISES (SettingsError): It was, and another program has changed a part."""
        if finished and (self._results or not self._n_parts):
            self._write_part()
        if finished:
            self.sync()

    def _note(self, part: Path) -> None:
        self._parts[part] = (identify(part), part.stat().st_size)

    def _keep_full_parts(self, earlier: Mark) -> None:
        digest = sha256()
        self.written, n_full = self._kept = earlier.kept
        self._last = earlier.last
        for i in range(earlier.size):
            if not _add_file(digest, self._part(i)):
                break
            if i + 1 == n_full:
                self._digest, self._n_parts = digest.copy(), n_full
        names = {self._part(i) for i in range(max(1, earlier.size))}
        is_more = bool(set(self.path.glob("part-*.parquet")) - names)
        if digest.hexdigest() != earlier.output or (earlier.finished and is_more):
            raise SettingsError(Errors.E173.format(path=self.path))
        self._n_earlier = earlier.size
        if n_full:
            table = self._pa.parquet.read_table(self._part(n_full - 1))
            if not table.schema.equals(self._schema):
                raise self._other_columns(table.schema)
            n_rows = self.written - self._last[0]
            self._to_verify = table.slice(table.num_rows - n_rows).to_pylist()

    def _other_columns(self, earlier: "pyarrow.Schema") -> SettingsError:
        added = (field for field in self._schema if field not in earlier)
        if (field := next(added, None)) is None:
            return self._differs(self.written)
        message = Errors.E344.format(path=self.path, column=field.name, kind=field.type)
        return SettingsError(message)

    def _differs(self, number: int) -> SettingsError:
        return SettingsError(Errors.E131.format(path=self.path, number=number))

    def _part(self, i: int) -> Path:
        return self.path / f"part-{i:05}.parquet"

    def _write_part(self) -> None:
        table = to_table(self._results, self._schema)
        part = self._part(self._n_parts)
        with write_aside(part) as aside:
            if self._mode is not None:
                aside.chmod(self._mode)
            self._pa.parquet.write_table(table, aside)
        self._note(part)
        self._n_parts += 1
        if self._results:  # a part without records belongs to no record
            _add_file(self._digest, part)
        self.written += len(self._results)
        self._results, self._result_size = [], 0


def _add_file(digest: "Hash", path: Path) -> bool:
    """RETURNS (bool): Whether there was a file to add."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return True
