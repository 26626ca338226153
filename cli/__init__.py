"""What a person types: commands, options, tables, progress and errors."""
