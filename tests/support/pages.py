"""The project's Markdown pages: what they show, and where they lead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/README.md")])

_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:^|[;&|]|\w=\S*) *(?:\S*/)?gateway +([^;&|>\n]*)", re.MULTILINE)
_INLINE = re.compile(r"`(?:\S*/)?gateway\s+([a-z][^`]*)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def name_of(page: Path) -> str:
    """Return how a test calls a page."""
    return str(page.relative_to(ROOT))


def shown_commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each ``gateway …`` line of the page's shell blocks."""
    for language, block in _BLOCK.findall(_text(page)):
        if language == "sh":
            for command in _COMMAND.findall(block.replace("\\\n", " ")):
                yield shlex.split(command, comments=True)


def mentioned_commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each ``gateway …`` that the page's prose mentions."""
    for command in _INLINE.findall(_BLOCK.sub("", _text(page))):
        yield command.split()


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield file and anchor of each link to another place of the project."""
    for target in _LINK.findall(_BLOCK.sub("", _text(page))):
        if not re.match(r"\w+:", target):
            file, _, anchor = target.partition("#")
            yield (page.parent / file).resolve() if file else page, anchor


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the web shows them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(_BLOCK.sub("", _text(page))))
    return {heading.replace(" ", "-") for heading in plain}


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")
