"""What an HTML page would fetch."""

import re


def outside_addresses(page: str) -> list[str]:
    """All that a page asks for from elsewhere."""
    return re.findall(
        r"""(?:src|href)\s*=\s*["'](?!data:)[^"']*|url\([^)]*\)|\w+://[^\s"'<]*""", page
    )
