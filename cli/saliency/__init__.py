"""Commands of `ppr saliency`."""
