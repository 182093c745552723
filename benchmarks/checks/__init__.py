"""Smaller studies, a file and a command each: chains, promises and the monitor on real patients, and a peer."""
