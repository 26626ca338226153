"""`ppr imnet`."""
