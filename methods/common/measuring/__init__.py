"""How a number is made."""
