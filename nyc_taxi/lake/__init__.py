"""The lake: where raw and refined files of all versions are stored."""
