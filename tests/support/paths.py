"""Where the project lies."""

from pathlib import Path

import spacy_duoguard

ROOT = Path(__file__).parents[2]
PACKAGE = Path(spacy_duoguard.__file__).parent
BENCHMARKS = ROOT / "examples" / "benchmarks"

# Larger material that is not part of the project; tests that use it skip without it.
SHARED = ROOT.parent / "shared"
