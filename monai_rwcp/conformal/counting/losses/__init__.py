"""What can go wrong with a set in one image, each counted at every threshold level."""
