"""The spaCy component: config, scoring, annotations, training and serialization."""
