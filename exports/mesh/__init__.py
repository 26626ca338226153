"""From an implicit field to a closed mesh, its files and its pictures."""
