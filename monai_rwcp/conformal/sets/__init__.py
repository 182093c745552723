"""From a score and thresholds to prediction sets and their sizes."""
