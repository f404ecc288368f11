"""The suite of disguises: what evades guards, to measure with and to train on."""
