"""The four models of the paper, and what is done with their codes."""
