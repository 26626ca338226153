"""How a training goes on, stops, is saved and resumed."""
