"""The review page: results → one HTML file that people look at."""
