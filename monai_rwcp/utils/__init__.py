"""Checks of arguments, whole files, JSON documents, tensors, processes, precision and progress."""
