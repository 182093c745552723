"""The command line: one file a command, and what commands share (options, errors, outputs, sources of features)."""
