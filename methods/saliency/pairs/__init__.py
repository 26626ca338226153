"""Image/mask pairs: finding, checking, preparing and making up."""
