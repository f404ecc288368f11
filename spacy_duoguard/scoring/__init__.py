"""Score files of texts, in one process or on Ray."""
