"""From input files to result files, in one process or on Ray."""
