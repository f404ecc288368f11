"""The categories of the DuoGuard classifiers, in the order of their logits."""

# Order of the model card of DuoGuard/DuoGuard-0.5B (arXiv 2502.05163).
CATEGORIES: tuple[str, ...] = (
    "Violent crimes",
    "Non-violent crimes",
    "Sex-related crimes",
    "Child sexual exploitation",
    "Specialized advice",
    "Privacy",
    "Intellectual property",
    "Indiscriminate weapons",
    "Hate",
    "Suicide and self-harm",
    "Sexual content",
    "Jailbreak prompts",
)

# The key of `doc.cats` that holds the maximum over the categories.
UNSAFE = "unsafe"
