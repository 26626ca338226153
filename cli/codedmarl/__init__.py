"""Commands of `ppr codedmarl`."""
