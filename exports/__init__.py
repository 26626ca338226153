"""From a checkpoint to an artefact that other programs open."""
