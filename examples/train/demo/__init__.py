"""How the checkpoint that the package carries is trained; run from the folder above."""
