"""From the SVG that matplotlib writes to one that stands in a page.

Colours become classes, so that the page's style sheet settles them in light and dark; ids become
unique; style attributes, which the page's security policy forbids, become presentation attributes.
Nothing here knows matplotlib, or what is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

# What the style sheet settles for all drawings.
_OF_THE_SHEET = {"font-family", "font", "stroke-linejoin", "stroke-linecap", "stroke-dashoffset"}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NAMESPACE = re.compile(r"\{[^}]*\}")
_SPACES = re.compile(r"\s+")
_COORDINATES = {"d", "x", "y", "transform"}
_LONG_NUMBER = re.compile(r"(\.\d{2})\d+")  # a hundredth of a point is enough


def inline(svg: str, *, key: str, title: str, description: str, colours: Mapping[str, str]) -> str:
    """Make a drawing part of a page.

    Args:
        svg: as matplotlib's canvas writes it, with text kept as text.
        key: begins every id of the drawing: no other drawing of the page may have it.
        title: its accessible name.
        description: what it shows, for those who do not see it.
        colours: ``#rrggbb`` -> what ``fill-`` and ``stroke-`` in a class are followed by; other
            colours stay as they are.
    """
    root = _cleaned(svg, key, colours)
    root.attrib |= {
        "class": "drawing",
        "role": "img",
        "aria-labelledby": f"{key}-title",
        "aria-describedby": f"{key}-description",
    }
    for position, (tag, name, text) in enumerate(
        (("title", "title", title), ("desc", "description", description))
    ):
        element = ET.Element(tag, {"id": f"{key}-{name}"})
        element.text = text
        root.insert(position, element)
    return ET.tostring(root, encoding="unicode")


def symbol(svg: str, *, key: str, colours: Mapping[str, str]) -> str:
    """Make a drawing a sign beside a text that says what it means; else as :func:`inline`."""
    root = _cleaned(svg, key, colours)
    root.attrib |= {"class": "symbol", "aria-hidden": "true"}
    width, height = root.get("viewBox", "").split()[2:]
    root.attrib |= {"width": f"{width}pt", "height": f"{height}pt"}
    return ET.tostring(root, encoding="unicode")


def _cleaned(svg: str, key: str, colours: Mapping[str, str]) -> ET.Element:
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib wrote it, from numbers and fixed words
    for element in root.iter():
        _drop_namespaces(element)
        _drop(element, {"metadata", "style"})
        _refer(element, key)
        _restyle(element, colours)
        element.text = element.text if element.text and element.text.strip() else None
        element.tail = None
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root[:] = _pruned(root)
    return root


def _pruned(parent: ET.Element) -> list[ET.Element]:
    """The children that can be seen; those of groups that say nothing in the group's place."""
    kept = []
    for child in parent:
        children = _pruned(child)
        tag = child.tag
        if tag == "g" and not child.attrib:
            kept += children
            continue
        child[:] = children
        invisible = tag == "path" and child.get("fill") == "none" and "class" not in child.attrib
        if not invisible and (children or tag not in ("g", "defs")):
            kept.append(child)
    return kept


def _drop_namespaces(element: ET.Element) -> None:
    """HTML knows SVG's elements by their plain names, and needs no declaration."""
    element.tag = _NAMESPACE.sub("", element.tag)
    for name in list(element.attrib):
        element.set(_NAMESPACE.sub("", name), element.attrib.pop(name))


def _drop(element: ET.Element, tags: set[str]) -> None:
    for child in list(element):
        if _NAMESPACE.sub("", child.tag) in tags:
            element.remove(child)


def _refer(element: ET.Element, key: str) -> None:
    """Keep the ids that something refers to, each behind the key."""
    name = element.attrib.pop("id", None)
    if name is not None and element.tag != "g":
        element.set("id", f"{key}-{name}")
    if "href" in element.attrib:
        element.set("href", element.get("href", "").replace("#", f"#{key}-", 1))
    for attribute, value in element.attrib.items():
        if "url(#" in value:
            element.set(attribute, _REFERENCE.sub(rf"url(#{key}-\1)", value))
    for attribute in _COORDINATES & element.attrib.keys():
        path = _SPACES.sub(" ", element.get(attribute, "")).strip()
        element.set(attribute, _LONG_NUMBER.sub(r"\1", path))


def _restyle(element: ET.Element, colours: Mapping[str, str]) -> None:
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name and name not in _OF_THE_SHEET:
            element.set(name, value)
    classes = [
        f"{name}-{colours[element.attrib.pop(name).lower()]}"
        for name in ("fill", "stroke")
        if element.get(name, "").lower() in colours
    ]
    if classes:
        element.set("class", " ".join(classes))
