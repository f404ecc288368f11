"""Score files and Ray datasets on a cluster."""
