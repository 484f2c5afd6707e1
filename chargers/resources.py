"""Sites as CSV: a utility loads and reads the grid place of its sites.

    manage.py import chargers.resources.SiteResource sites.csv --noinput

All or nothing. A blank cell in a grid column means blank; a column that is missing, or a blank
`voltage_v` or `exempt`, leaves what is there. `name` and `timezone` come from eDRV: they are
exported, and taken only for a site that is new. A text that a spreadsheet would take for a formula
has an apostrophe put before it, which reading takes away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.utils import timezone
from import_export.fields import Field
from import_export.formats.base_formats import CSV
from import_export.instance_loaders import CachedInstanceLoader
from import_export.resources import ModelResource
from import_export.results import Error, Result
from import_export.widgets import Widget

from chargers import audit, own_fields
from chargers.audit import Actor
from chargers.models import Site
from chargers.wording import from_spreadsheet, spreadsheet_text

FROM_EDRV = ("name", "timezone")
YES = {"1", "true", "yes", "y"}
NO = {"0", "false", "no", "n"}
UNPRINTABLE = "has characters that cannot be printed"


class Text(Widget):
    """A text without blanks around it, of characters a database can hold. eDRV, or whoever wrote
    it, may have chosen it so: in a spreadsheet it must be no formula."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        text = _text_of(value)
        if not text.isprintable():
            raise ValueError(UNPRINTABLE)
        return text

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        text = str(value or "")
        # The mark stands behind apostrophes of its own, or else reading would take one of those.
        bare = text.lstrip("'")
        return text.removesuffix(bare) + spreadsheet_text(bare)


def _text_of(value: Any) -> str:
    return "" if value is None else from_spreadsheet(str(value).strip())


class Id(Text):
    """The loader reads the ids of all rows before any row is judged: here a bad one is as good
    as none, and `before_import_row` says what is wrong with it."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        try:
            return super().clean(value, row, **kwargs)
        except ValueError:
            return ""


class Number(Widget):
    """A finite number with a decimal point; None for a blank."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> float | None:
        text = "" if value is None else str(value).strip()
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number such as 230 or 230.5") from None
        if not math.isfinite(number):
            raise ValueError(f"{text!r} is not a number such as 230 or 230.5")
        return number

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return f"{value:g}"


class YesNo(Widget):
    """true or false in the usual spellings; None for a blank."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> bool | None:
        text = "" if value is None else str(value).strip().lower()
        if text and text not in YES | NO:
            raise ValueError(f"{text!r} is neither true nor false")
        return text in YES if text else None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "true" if value else "false"


class SiteCsv(CSV):
    """CSV with commas or, as spreadsheets write it where the comma is decimal, semicolons."""

    def create_dataset(self, in_stream: Any, **kwargs: Any) -> Any:
        if isinstance(in_stream, bytes):
            in_stream = in_stream.decode(self.encoding or "utf-8-sig")
        heading = in_stream.partition("\n")[0]
        delimiter = ";" if heading.count(";") > heading.count(",") else ","
        return super().create_dataset(in_stream, delimiter=delimiter, **kwargs)


class SiteImport(Result):
    """A bad row is an error of the import: so all of it is undone, and `manage.py import` says
    so and fails."""

    def row_errors(self) -> list[tuple[int, list[Error]]]:
        bad = [(row.number, [Error(text) for text in _texts(row)]) for row in self.invalid_rows]
        return sorted([*super().row_errors(), *bad], key=lambda found: found[0])

    @property
    def faults(self) -> list[tuple[int | None, str, str]]:
        """Everything that is wrong with a row: its number, what is wrong, and what it says."""
        said = {row.number: row.values for row in self.invalid_rows}
        found: list[tuple[int | None, str, str]] = []
        for number, errors in self.row_errors():
            values = said.get(number) or next((error.row.values() for error in errors if
                                               getattr(error, "row", None)), ())  # fmt: skip
            told = ", ".join(str(value) for value in values if value not in (None, ""))
            found += [(number, str(error.error), told) for error in errors]
        return found

    def problems(self) -> list[str]:
        """Everything that is wrong, by row and field; only the heading, where that is wrong."""
        of_file = [text for error in self.base_errors for text in _messages(error.error)]
        return of_file or [
            f"Row {number}: {error.error}"
            for number, errors in self.row_errors()
            for error in errors
        ]


def _messages(error: Exception) -> list[str]:
    return list(error.messages) if isinstance(error, ValidationError) else [str(error)]


def _texts(row: Any) -> Iterator[str]:
    for field, messages in row.field_specific_errors.items():
        yield from (f"{field}: {message}" for message in messages)
    yield from row.non_field_specific_errors


class SiteResource(ModelResource):
    """A row a site. Every change is in the audit trail under `actor`."""

    external_id = Field("external_id", "external_id", Id())
    name = Field("name", "name", Text())
    timezone = Field("timezone", "timezone", Text())
    grid_zone = Field("grid_zone", "grid_zone", Text())
    substation = Field("substation", "substation", Text())
    feeder = Field("feeder", "feeder", Text())
    voltage_v = Field("voltage_v", "voltage_v", Number(), saves_null_values=False)
    exempt = Field("exempt", "exempt", YesNo(), saves_null_values=False)
    exempt_reason = Field("exempt_reason", "exempt_reason", Text())

    class Meta:
        model = Site
        fields = ("external_id", *FROM_EDRV, *own_fields.OWN_FIELDS[Site])
        import_id_fields = ("external_id",)
        instance_loader_class = CachedInstanceLoader
        clean_model_instances = True
        skip_unchanged = True
        use_transactions = True

    def __init__(self, actor: Actor | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.actor = actor or audit.shell_actor()
        self.seen: set[str] = set()

    @classmethod
    def get_result_class(cls) -> type[SiteImport]:
        return SiteImport

    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        """A misspelt `sub_station` must not be passed over in silence."""
        self.seen = set()
        unknown = sorted({str(name) for name in dataset.headers or ()} - set(self._meta.fields))
        if unknown:
            known = ", ".join(self._meta.fields)
            raise ValidationError(f"Unknown column: {', '.join(unknown)}. Known are: {known}.")

    def before_import_row(self, row: Any, **kwargs: Any) -> None:
        external_id = _text_of(row.get("external_id"))
        if not external_id.isprintable():
            raise ValidationError({"external_id": UNPRINTABLE})
        if external_id in self.seen:
            raise ValidationError({"external_id": f"{external_id} stands here twice"})
        self.seen.add(external_id)

    def after_import(self, dataset: Any, result: Any, **kwargs: Any) -> None:
        """Not import-export's own, which sets the sequence of ids: no file names those, and the
        database role of the processes may not."""

    def import_field(
        self, field: Any, instance: Site, row: Any, is_m2m: bool = False, **kwargs: Any
    ) -> None:
        if field.attribute in FROM_EDRV and (instance.pk or not row.get(field.column_name)):
            return
        super().import_field(field, instance, row, is_m2m, **kwargs)

    def save_instance(self, instance: Site, is_create: bool, row: Any, **kwargs: Any) -> None:
        """A dry run saves as well: import-export rolls it back."""
        if is_create:
            self._create(instance)
            return
        told = [name for name in own_fields.OWN_FIELDS[Site] if name in row]
        values = {name: getattr(instance, name) for name in told}
        own_fields.change(
            instance, values, actor=self.actor, now=timezone.now(), action="site.imported"
        )

    def _create(self, site: Site) -> None:
        site.save(force_insert=True)
        audit.record(
            self.actor,
            "site.imported",
            at=timezone.now(),
            subject="site",
            subject_ids=[site.pk],
            after={name: getattr(site, name) for name in self._meta.fields},
        )


class Stopped(Exception):
    """So much is wrong with a file that the rest of it is not looked at; `result` has what was
    found."""

    def __init__(self, result: LargeSiteImport) -> None:
        super().__init__()
        self.result = result


class LargeSiteImport(SiteImport):
    """Raises Stopped at a wrong heading, and once MOST_BAD rows are wrong: nobody reads on, and
    each row costs its time."""

    MOST_BAD = 100
    was_stopped = False

    def append_base_error(self, error: Error) -> None:
        super().append_base_error(error)
        self._stop()

    def append_row_result(self, row_result: Any) -> None:
        super().append_row_result(row_result)
        if len(self.invalid_rows) + len(self.error_rows) >= self.MOST_BAD:
            self._stop()

    def _stop(self) -> NoReturn:
        self.was_stopped = True
        raise Stopped(self)


class LargeSiteResource(SiteResource):
    """The same, for a file that is taken in the background: nobody is shown its rows side by side,
    and `note` is told every now and then how many are done. Raises Stopped."""

    NOTED_EVERY = 50

    class Meta(SiteResource.Meta):
        skip_html_diff = True

    def __init__(self, actor: Actor, note: Callable[[int], None]) -> None:
        super().__init__(actor)
        self.note = note
        self.done = 0

    @classmethod
    def get_result_class(cls) -> type[LargeSiteImport]:
        return LargeSiteImport

    def import_row(self, row: Any, instance_loader: Any, **kwargs: Any) -> Any:
        result = super().import_row(row, instance_loader, **kwargs)
        self.done += 1
        if self.done % self.NOTED_EVERY == 0:
            self.note(self.done)
        return result
