"""How long everything takes, beside other libraries and what the machine can do: `python -m benchmarks.speed`."""
