"""Files of corpora: what spaCy would leave out of them without a word."""

import zlib
from pathlib import Path

from ..errors import Errors, SettingsError

_STEP = 2**20  # bytes


def check_corpus_file(path: Path) -> None:
    """Check that a corpus fills its file. spaCy reads no further than its end: of two
    corpora in one file, it leaves the second out.

    path (Path): A .spacy file. One that is damaged is left to what reads it.
    RAISES (SettingsError): Something follows the corpus.
    """
    if not path.is_file():
        return
    decompressor = zlib.decompressobj()
    with path.open("rb") as file:
        try:
            while not decompressor.eof and (rest := file.read(_STEP)):
                while rest and not decompressor.eof:
                    decompressor.decompress(rest, _STEP)
                    rest = decompressor.unconsumed_tail
        except zlib.error:
            return
        if decompressor.eof and (decompressor.unused_data or file.read(1)):
            raise SettingsError(Errors.E341.format(path=path))
