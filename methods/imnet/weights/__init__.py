"""Embedded weights of `ppr imnet`."""
