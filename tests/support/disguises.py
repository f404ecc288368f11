"""The suite of disguises, by what the views promise."""

from spacy_duoguard.disguises.suite import SUITE

PLAIN = "I hate you and will kill you all."

# Undone exactly by a view.
EXACT = {name: disguise for name, disguise in SUITE.items() if disguise.is_exact}

# Alphabets of capitals only, which are read as small letters.
CAPITALS = {
    name: disguise
    for name, disguise in SUITE.items()
    if disguise.view and not disguise.is_exact
}
