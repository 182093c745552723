"""The page of what was promised and what was observed."""
