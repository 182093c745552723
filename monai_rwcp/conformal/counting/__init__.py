"""What can go wrong with a set, counted at every threshold."""
