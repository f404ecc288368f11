"""The evaluation of the DuoGuard paper (arXiv 2502.05163), on its public files."""
