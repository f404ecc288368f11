"""The categories of the DuoGuard classifiers, in the order of their logits."""

# As on the model card of DuoGuard/DuoGuard-0.5B (arXiv 2502.05163).
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

# A colour for each category, in displaCy and on the review page: twelve hues around the
# colour wheel. Their luminance contrasts with white and black pages (3:1) and with
# black letters on top (4.5:1).
COLORS: dict[str, str] = {
    "Violent crimes": "#f00e53",
    "Non-violent crimes": "#a5700d",
    "Sex-related crimes": "#d05efe",
    "Child sexual exploitation": "#7a5ffe",
    "Specialized advice": "#9d9411",
    "Privacy": "#18a579",
    "Intellectual property": "#478a01",
    "Indiscriminate weapons": "#f2670c",
    "Hate": "#0679e8",
    "Suicide and self-harm": "#0c8888",
    "Sexual content": "#fe41be",
    "Jailbreak prompts": "#139ec6",
}

# For categories that a user added.
OTHER_COLOR = "#808080"
