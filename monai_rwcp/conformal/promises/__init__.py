"""What can be promised of the sets of a new unit, and the thresholds that keep it."""
