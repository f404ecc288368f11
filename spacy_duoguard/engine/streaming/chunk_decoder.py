"""From the chunks of a stream to text."""

import codecs
from collections.abc import Sequence

from ...errors import Errors, ScoringError, SettingsError
from ..text.lossless import characters_of


def check_chunks(chunks: Sequence[str | bytes]) -> None:
    """chunks (Sequence[Union[str, bytes]]): Chunks of several texts.
    RAISES (SettingsError): They aren't a list."""
    if isinstance(chunks, (str, bytes)) or not isinstance(chunks, Sequence):
        raise SettingsError(Errors.E049.format(kind=type(chunks).__name__))


class ChunkDecoder:
    """Decodes chunks that may end inside a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    @property
    def is_waiting(self) -> bool:
        """RETURNS (bool): Whether the last chunk ended inside a character."""
        return bool(self._decoder.getstate()[0])

    def decode(self, chunk: str | bytes) -> str:
        """chunk (Union[str, bytes]): The next chunk.
        RETURNS (str): Its text, without a character that is not complete yet.
        RAISES (SettingsError): It is neither a string nor bytes.
        RAISES (ScoringError): The bytes aren't UTF-8, or a string follows a part of a
            character.
        """
        if not isinstance(chunk, (str, bytes, bytearray)):
            raise SettingsError(Errors.E096.format(kind=type(chunk).__name__))
        if isinstance(chunk, str):
            if self.is_waiting:
                raise ScoringError(Errors.E094)
            return characters_of(chunk)
        try:
            return self._decoder.decode(chunk)
        except UnicodeDecodeError as e:
            problem = e.reason
        # Not in the block above: even "from None" keeps that error, and the bytes.
        raise ScoringError(Errors.E095.format(problem=problem))

    def reset(self) -> None:
        """Forget the part of a character that is waiting."""
        self._decoder.reset()
