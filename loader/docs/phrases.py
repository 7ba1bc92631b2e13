"""Sentences in HTML, with the words of a spec as code."""

from __future__ import annotations

from markupsafe import Markup, escape


def sentence(text: str, *words: object) -> Markup:
    """Format a sentence; the words, taken from the spec, are shown as code."""
    return escape(text).format(*map(code, words))


def code(word: object) -> Markup:
    """Format a word of the spec, or a list of them, as code."""
    if isinstance(word, Markup):
        return word
    if isinstance(word, tuple):
        return Markup(", ").join(map(code, word))
    return Markup("<code>{}</code>").format(word)
