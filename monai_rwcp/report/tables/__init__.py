"""Tables and cards, as markdown."""
