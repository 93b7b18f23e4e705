"""Measurements on a machine with a GPU; each module is a command of its own and prints one JSON line last."""
