"""Docstrings as Markdown reads them: `<folder>` and `__call__` in plain text stay what they are."""

import re

import griffe

# Code spans and fenced blocks; what is outside of them is text.
_CODE = re.compile(r"(```.*?```|``.*?``|`[^`\n]*`)", re.DOTALL)


def escape(text: str) -> str:
    """Escapes what Markdown would read as HTML or as emphasis, outside of code.

    Args:
      text: A docstring.

    Returns:
      The same with `<` of a tag as an entity, dunder names as code, and indices `a[i][j]` no links.
    """
    parts = _CODE.split(text)
    for i in range(0, len(parts), 2):
        plain = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", parts[i])
        plain = plain.replace("][", "]\\[")
        parts[i] = re.sub(r"(?<![\w`])(__\w+__)", r"`\1`", plain)
    return "".join(parts)


class PlainDocstrings(griffe.Extension):
    """Escapes every docstring that is collected."""

    def on_instance(self, *, obj: griffe.Object | griffe.Alias, **kwargs) -> None:
        """Changes the docstring of an object, in place.

        Args:
          obj: Module, class, function or attribute.
          **kwargs: Not used.
        """
        if not obj.is_alias and obj.docstring:
            obj.docstring.value = escape(obj.docstring.value)
