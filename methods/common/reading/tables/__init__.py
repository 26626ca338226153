"""From the cells of a table to features, labels and splits."""
