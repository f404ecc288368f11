"""Divide texts between training and evaluation."""

import hashlib
import unicodedata


def is_dev(text: str, share: float) -> bool:
    """Decide by a hash, so that a text stays on its side when others are added. Texts
    that differ only in case, spaces or compatible characters share it: a copy of a
    training text in the dev set would flatter the figures.

    text (str): A text.
    share (float): The share of texts for the dev set, in [0, 1].
    RETURNS (bool): Whether it belongs to the dev set.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    digest = hashlib.sha256(plain.encode("utf8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
