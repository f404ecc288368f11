"""Which labels records may use, and what they are called here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import Errors, SettingsError
from ..scoring.record import BrokenRecordError
from ..taxonomy import CATEGORIES, UNSAFE

_SHOWN = 40  # characters of a label in a message: it may be a text that went astray


class UnknownLabelError(BrokenRecordError):
    """A label is neither a category nor renamed to one."""

    def __init__(self, label: str) -> None:
        """label (str): The label."""
        self.label = shorten(label)
        super().__init__(f"'{self.label}' is not a category")


def shorten(label: str) -> str:
    """label (str): A label of a record.
    RETURNS (str): What of it messages may show."""
    return label if len(label) <= _SHOWN else f"{label[:_SHOWN]}…"


@dataclass(frozen=True)
class LabelNames:
    """The labels that records may use."""

    added: tuple[str, ...] = ()  # categories beside the twelve
    renamed: Mapping[str, str | None] = field(default_factory=dict)  # None: left out

    @property
    def categories(self) -> tuple[str, ...]:
        """All categories, in order."""
        return (*CATEGORIES, *(name for name in self.added if name not in CATEGORIES))

    @property
    def omits_category(self) -> bool:
        """Whether a category, or `unsafe`, is left out wherever records name it."""
        return any(
            self.renamed.get(name, name) is None for name in (*self.categories, UNSAFE)
        )

    def resolve(self, name: str) -> str | None:
        """name (str): A label of a record.
        RETURNS (Optional[str]): A category or `unsafe`, or None to leave it out.
        RAISES (UnknownLabelError): It is none of these."""
        if name in self.renamed:
            return self.renamed[name]
        if name != UNSAFE and name not in self.categories:
            raise UnknownLabelError(name)
        return name


def parse_labels(added: str, renamed: Iterable[str]) -> LabelNames:
    """added (str): Names of categories beside the twelve, separated by commas.
    renamed (Iterable[str]): What to rename, as "HATE=Hate", or "SAFE=" to leave it out.
    RETURNS (LabelNames): The labels that records may use.
    RAISES (SettingsError): A new name isn't a category, a pair has no "=", or a name is
        renamed twice.
    """
    names = [name.strip() for name in added.split(",")]
    labels = LabelNames(tuple(name for name in names if name and name != UNSAFE))
    pairs: dict[str, str | None] = {}
    for pair in renamed:
        old, equals, new = (part.strip() for part in pair.rpartition("="))
        if not equals or not old or old in pairs:
            raise SettingsError(Errors.E266.format(value=shorten(pair)))
        if new and new != UNSAFE and new not in labels.categories:
            listed = ", ".join((*labels.categories, UNSAFE))
            raise SettingsError(Errors.E267.format(name=new, categories=listed))
        pairs[old] = new or None
    return LabelNames(labels.added, pairs)
