"""One folder a paper, and what they share in `common`."""
