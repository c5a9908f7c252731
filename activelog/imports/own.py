"""Our own CSV, as an export writes it."""

from collections.abc import Callable, Sequence

from activelog.base.errors import Permanent
from activelog.base.formatting import unescape_formula
from activelog.imports.source import Fields, Format

_REQUIRED = ("activity_type", "duration_minutes", "activity_date")
_KNOWN = (*_REQUIRED, "id", "distance_km", "tags", "notes", "calories")


def detect(header: Sequence[str]) -> Format:
    """Raises Permanent for a header that is not ours either."""
    return Format("activelog", len(header), _parser(_checked(list(header))))


def _checked(header: list[str]) -> list[str]:
    missing = [name for name in _REQUIRED if name not in header]
    unknown = [name for name in header if name not in _KNOWN]
    if missing:
        raise Permanent(f"the header has no column {', '.join(missing)}")
    if unknown or len(set(header)) < len(header):
        raise Permanent(
            f"the header has unknown or repeated columns: {', '.join(unknown or header)}"
        )
    return header


def _parser(header: list[str]) -> Callable[[Sequence[str]], Fields]:
    def parse(cells: Sequence[str]) -> Fields:
        found = {name: unescape_formula(cell) for name, cell in zip(header, cells, strict=True)}
        fields: Fields = {name: cell for name, cell in found.items() if name != "id" and cell != ""}
        if "tags" in fields:
            fields["tags"] = fields["tags"].split(",")
        return fields

    return parse
