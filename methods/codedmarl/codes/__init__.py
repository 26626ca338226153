"""Encoding matrices, their arithmetic, and decoding."""
