"""Detector kinds: arrays in, arrays out. One file per kind; the catalog finds the files."""
