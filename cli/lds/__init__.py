"""Commands of LDS."""
