"""Input file → records → scores → output file."""
