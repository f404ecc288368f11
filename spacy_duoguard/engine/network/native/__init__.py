"""Kernels in C for the decoder on a CPU, compiled on the user's machine."""
