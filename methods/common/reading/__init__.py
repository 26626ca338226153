"""From somebody's file to arrays; bad files are refused by name."""
