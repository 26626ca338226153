"""Commands about ppr itself."""
