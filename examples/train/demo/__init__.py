"""Train the demo checkpoint of the package. Run this from the folder above."""
