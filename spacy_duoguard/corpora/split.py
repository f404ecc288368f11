"""Divide texts between training and evaluation."""

import hashlib
import unicodedata
from collections.abc import Collection, Mapping

Unit = tuple[str, int]  # a document of the review page: its results, and its number


def is_dev(text: str, share: float) -> bool:
    """Decide by a hash, so that a text stays on its side when others are added. Texts
    that differ only in case, spaces or compatible characters share it: a copy of a
    training text in the dev set would flatter the figures.

    text (str): A text.
    share (float): The share of texts for the dev set, in [0, 1].
    RETURNS (bool): Whether it belongs to the dev set.
    """
    digest = hashlib.sha256(_plain(text).encode("utf8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def group_keys(
    texts: Mapping[str, Collection[Unit]],
    documents: Mapping[Unit, str],
    sentences: Mapping[str, Collection[str]],
) -> list[str]:
    """Find out which texts belong on the same side. Documents that share a sentence do,
    with all of their sentences.

    texts (Mapping[str, Collection[Tuple[str, int]]]): Each text, and the documents that
        it is a sentence of.
    documents (Mapping[Tuple[str, int], str]): The texts of documents, where known.
    sentences (Mapping[str, Collection[str]]): Sentences that label spans, and the texts
        that they were seen in.
    RETURNS (List[str]): For each text what decides on its side, as for `is_dev`: the
        text of a document of its group if there is one, else the name of one.
    """
    groups = _Groups()
    for text, units in texts.items():
        for unit in units:
            groups.join(_plain(text), unit)
    for unit, text in documents.items():
        groups.join(_plain(text), unit)
    for sentence, wholes in sentences.items():
        for whole in wholes:
            groups.join(_plain(sentence), _plain(whole))
    keys: dict[str | Unit, tuple[int, str, str]] = {}
    candidates: list[tuple[str | Unit, int, str]] = [
        *((unit, 0, text) for unit, text in documents.items()),
        *((u, 1, f"{u[0]}/{u[1]}") for units in texts.values() for u in units),
        *((_plain(text), 2, text) for text in texts),
    ]
    for member, rank, key in candidates:
        root = groups.root(member)
        choice = rank, _plain(key), key
        keys[root] = min(choice, keys.get(root, choice))
    return [keys[groups.root(_plain(text))][2] for text in texts]


class _Groups:
    """Texts and documents that belong together (a union-find structure)."""

    def __init__(self) -> None:
        self.parents: dict[str | Unit, str | Unit] = {}

    def root(self, member: str | Unit) -> str | Unit:
        """RETURNS (Union[str, Tuple[str, int]]): The member that stands for its
        group."""
        parents = self.parents
        parents.setdefault(member, member)
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    def join(self, one: str | Unit, other: str | Unit) -> None:
        self.parents[self.root(one)] = self.root(other)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
