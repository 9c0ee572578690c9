"""Lava processes of the deployed network. Lava's compiler executes every file of this folder: keep it to these two."""
