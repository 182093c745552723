"""Real data and the networks that segment it; one command that writes them as files."""
