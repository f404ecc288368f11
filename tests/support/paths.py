"""Paths of the project."""

from pathlib import Path

import spacy_duoguard

ROOT = Path(__file__).parents[2]
PACKAGE = Path(spacy_duoguard.__file__).parent
BENCHMARKS = ROOT / "examples" / "benchmarks"

# Larger files that are not part of the project. Tests that use them skip without them.
SHARED = ROOT.parent / "shared"
