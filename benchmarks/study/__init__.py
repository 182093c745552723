"""Does the walk help, when, and by how much: `python -m benchmarks.study`, stage by stage, to the page of results."""
