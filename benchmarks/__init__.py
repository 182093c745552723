"""Studies on real data: one command each, peers side by side in one run."""
