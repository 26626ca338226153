"""How a picture is saved."""
