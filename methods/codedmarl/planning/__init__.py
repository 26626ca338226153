"""How long iterations of a code take: formulas, draws and a virtual clock."""
