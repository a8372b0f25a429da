"""The shared words: labels and columns for the hot path, records for people, files and HTTP."""
