"""Processes, memory, signals, temporary files, progress."""
