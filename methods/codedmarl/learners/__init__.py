"""Who computes the updates, where, and how slow or dead it is."""
