"""A reader that puts labelled texts among safe ones, with the gold of their spans."""

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.augment import dont_augment
from spacy.training.corpus import FILE_TYPE, walk_corpus
from spacy.vocab import Vocab

from ..engine.settings import check_count
from ..errors import Errors, SettingsError
from ..pipeline.component import DuoGuard
from ..pipeline.corpus_files import check_corpus_file
from ..pipeline.gold import POSITIVE, REJECTED, check_cats, check_maximum
from ..pipeline.scored_gold import refuse_scores
from ..taxonomy import CATEGORIES, UNSAFE
from .disguise import Augmenter
from .segments import Parts, sentence_starts

Corpus = Callable[[Language], Iterator[Example]]

_LABELS = frozenset((UNSAFE, *CATEGORIES))


def create_composed_docs(
    path: Path,
    level: float = 1.0,
    n_safe: Sequence[int] = (2, 10),
    max_length: int = 0,
    max_safe: float = POSITIVE,
    spans_key: str = "duoguard",
    shuffle: bool = True,
    augmenter: Augmenter | None = None,
) -> Corpus:
    """Create a reader of docs that are composed of labelled texts. Each text of the
    corpus comes once per epoch, alone or among safe ones. The sentences of such a doc
    are its texts, or theirs if they are set, and its span group says which are unsafe.

    path (Path): A .spacy file or a folder of them, with gold in `doc.cats`. Texts of
        which too little is known stay alone: those with a partial span group, as from
        corrections, and those that may be unsafe, for all their gold says.
    level (float): The share of texts to put among safe ones.
    n_safe (Sequence[int]): The least and the most safe texts around one.
    max_length (int): The maximum number of tokens of a composed doc; 0 for no limit.
    max_safe (float): The highest value of a category in texts that count as safe.
    spans_key (str): The group of `doc.spans` for the gold of the spans.
    shuffle (bool): Whether to shuffle the texts.
    augmenter (Optional[Callable[[Language, Example], Iterator[Example]]]): Applied to
        the examples.
    RETURNS (Callable[[Language], Iterator[Example]]): The reader.
    RAISES (SettingsError): A setting is out of range.
    """
    for name, value in (("level", level), ("max_safe", max_safe)):
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise SettingsError(Errors.E242.format(name=name, value=value))
    least, most = _read_range(n_safe)
    if max_length != 0:
        check_count("max_length", max_length, remedy=" Set it to 0 for no limit.")
    return partial(
        _read,
        path=Path(path),
        level=level,
        n_safe=(least, most),
        max_length=max_length,
        max_safe=max_safe,
        spans_key=spans_key,
        shuffle=shuffle,
        augmenter=augmenter or dont_augment,
    )


def _read_range(n_safe: Sequence[int]) -> tuple[int, int]:
    """RAISES (SettingsError): It isn't the least and the most of something."""
    if isinstance(n_safe, (list, tuple)) and len(n_safe) == 2:
        least, most = n_safe
        counts = isinstance(least, int) and isinstance(most, int)
        if counts and 0 <= least <= most:
            return least, most
    raise SettingsError(Errors.E243.format(value=n_safe))


def _read(
    nlp: Language,
    *,
    path: Path,
    level: float,
    n_safe: tuple[int, int],
    max_length: int,
    max_safe: float,
    spans_key: str,
    shuffle: bool,
    augmenter: Augmenter,
) -> Iterator[Example]:
    docs = [doc for doc in _read_docs(nlp.vocab, path) if len(doc)]
    labels = _read_labels(nlp)
    # A span of a composed doc is safe if nothing says otherwise. In these, some are not
    # known.
    open_docs = {
        doc
        for doc in docs
        if is_partial(doc, spans_key) or _is_open(doc, spans_key, labels)
    }
    safe = [d for d in docs if _is_safe(d, max_safe, labels) and d not in open_docs]
    if level > 0 and not safe:
        raise SettingsError(Errors.E244.format(path=path, docs=len(docs)))
    if shuffle:
        random.shuffle(docs)
    for doc in docs:
        parts = [doc]
        if random.random() < level and doc not in open_docs:
            parts = _surround(doc, safe, random.randint(*n_safe), max_length)
        yield from augmenter(nlp, compose(nlp.vocab, parts, spans_key, labels))


def _read_labels(nlp: Language) -> frozenset[str]:
    """The keys of `doc.cats` that count. Others belong to other components."""
    guards = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, DuoGuard)]
    return _LABELS.union(*(guard.labels for guard in guards))


def _read_docs(vocab: Vocab, path: Path) -> Iterator[Doc]:
    for file in walk_corpus(path, FILE_TYPE):
        check_corpus_file(file)
        for doc in DocBin().from_disk(file).get_docs(vocab):
            refuse_scores(doc)
            check_cats(doc.cats)
            yield doc


def is_partial(doc: Doc, spans_key: str) -> bool:
    """doc (Doc): A reference doc.
    spans_key (str): The group of `doc.spans` for the gold of spans.
    RETURNS (bool): Whether the group says what was rejected (see `REJECTED`), and not
        what everything is."""
    return spans_key in doc.spans and REJECTED in doc.spans[spans_key].attrs


def _is_safe(doc: Doc, max_safe: float, labels: Collection[str]) -> bool:
    """Whether all categories are known, and low."""
    is_known = UNSAFE in doc.cats or _names_all(doc)
    return is_known and not _names_above(max_safe, doc, labels)


def _names_above(value: float, doc: Doc, labels: Collection[str]) -> list[str]:
    return [name for name in doc.cats if name in labels and doc.cats[name] > value]


def _is_open(doc: Doc, spans_key: str, labels: Collection[str]) -> bool:
    """Whether the gold doesn't say if the text is unsafe, nor which of its spans are:
    it names no category that it has, and not all that it might have."""
    if spans_key in doc.spans or UNSAFE in doc.cats or _names_all(doc):
        return False
    return not _names_above(POSITIVE, doc, labels)


def _names_all(doc: Doc) -> bool:
    return doc.cats.keys() >= set(CATEGORIES)


def _surround(doc: Doc, safe: Sequence[Doc], count: int, max_length: int) -> list[Doc]:
    """Safe texts with the doc somewhere between them, as many as fit."""
    length = len(doc)
    parts: list[Doc] = []
    for other in random.choices(safe, k=count):
        if not max_length or length + len(other) <= max_length:
            parts.append(other)
            length += len(other)
    parts.insert(random.randint(0, len(parts)), doc)
    return parts


def compose(
    vocab: Vocab,
    docs: Sequence[Doc],
    spans_key: str,
    labels: Collection[str] = _LABELS,
) -> Example:
    """Join labelled texts to one.

    vocab (Vocab): The vocabulary.
    docs (Sequence[Doc]): The texts, with gold in `doc.cats`, and perhaps that of spans.
    spans_key (str): The group of `doc.spans` for the gold of spans.
    labels (Collection[str]): The keys of `doc.cats` that count for it.
    RETURNS (Example): An example whose predicted doc has the sentences. A category is
        known if one text has it, or if all texts say whether they do. Without a span
        group, if one text may be unsafe for all its gold says.
    RAISES (SettingsError): A text that isn't unsafe has a category.
    """
    parts = Parts(vocab)
    entries: list[tuple[int, int, str]] = []
    for i, doc in enumerate(docs):
        check_maximum(doc.cats)  # the maximum of all texts may hide it
        entries += _entries(doc, len(parts), spans_key, labels)
        is_last = i + 1 == len(docs)
        parts.add(doc, space=not is_last, sent_starts=sentence_starts(doc))
    reference = parts.make(sentences=True)
    reference.cats = merge_cats([doc.cats for doc in docs])
    if not any(_is_open(doc, spans_key, labels) for doc in docs):
        reference.spans[spans_key] = [Span(reference, *entry) for entry in entries]
    if len(docs) == 1 and is_partial(docs[0], spans_key):
        reference.spans[spans_key].attrs.update(docs[0].spans[spans_key].attrs)
    return Example(parts.make(sentences=True), reference)


def _entries(
    doc: Doc, offset: int, spans_key: str, labels: Collection[str]
) -> list[tuple[int, int, str]]:
    """The unsafe spans of a text: those of its gold, or the whole text. As `unsafe`, it
    has categories that its gold doesn't name open."""
    if spans_key in doc.spans:
        group = doc.spans[spans_key]
        return [(offset + s.start, offset + s.end, s.label_) for s in group]
    names = [name for name in _names_above(POSITIVE, doc, labels) if name != UNSAFE]
    if names:
        is_unsafe = doc.cats.get(UNSAFE) != 0.0 and not _names_all(doc)
    else:
        is_unsafe = doc.cats.get(UNSAFE, 0.0) > POSITIVE
    if is_unsafe:
        names.append(UNSAFE)
    return [(offset, offset + len(doc), name) for name in names]


def merge_cats(cats: Sequence[dict[str, float]]) -> dict[str, float]:
    """cats (Sequence[Dict[str, float]]): The gold of texts.
    RETURNS (Dict[str, float]): The gold of all of them together: what one text has,
        they have; what none has is known if each text says so."""
    names = list(dict.fromkeys(name for gold in cats for name in gold))
    merged = {}
    for name in names:
        values = [_known(gold, name) for gold in cats]
        known = [value for value in values if value is not None]
        # What isn't a probability stays, so that training refuses it.
        odd = [value for value in known if not 0.0 <= value <= 1.0]
        highest = odd[0] if odd else max(known, default=0.0)
        if odd or highest > POSITIVE or len(known) == len(values):
            merged[name] = highest
    return merged


def _known(gold: dict[str, float], name: str) -> float | None:
    """What a text's gold says about a category: 0 if it's safe."""
    if name in gold:
        return gold[name]
    if gold.get(UNSAFE) == 0.0:
        return 0.0
    if name == UNSAFE and gold.keys() >= set(CATEGORIES):
        return max(gold[category] for category in CATEGORIES)
    return None
