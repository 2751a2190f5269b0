"""Names and digests as a person can read them."""

DIGITS = 12  # of a digest: enough to tell two apart


def show(name: object) -> str:
    r"""Return a name as it is, or, where it holds what a terminal would act on, as Python writes it.

    >>> show("a b.png"), show("a\nb.png")
    ('a b.png', "'a\\nb.png'")
    """
    text = str(name)
    return text if text.isprintable() else repr(text)


def shorten(digest: str | None) -> str:
    """Return the first digits of a digest.

    >>> shorten("0123456789abcdef"), shorten(None)
    ('0123456789ab', 'none')
    """
    return digest[:DIGITS] if digest else "none"
