"""How else a text reads: without its disguises, and decoded."""
