"""Shapes as boxes, meshes, voxels and pictures, and the HDF5 files that networks are trained on."""
