"""What LDS learns from: a table or matrix with labels, a graph and a split."""
