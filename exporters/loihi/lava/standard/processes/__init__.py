"""Lava processes for what Lava's library lacks. Its compiler executes every file of this folder: keep it to these."""
