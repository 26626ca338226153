"""LDS: a graph learned from a table, or from a given graph, together with the GCN that uses it."""
