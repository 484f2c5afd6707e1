"""The REST interface, a public contract, under /api/v1/. Each view makes one domain call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.audit import Actor
from chargers.models import ChargeStation, Session, Site
from chargers.problems import FieldError, Problem
from dr_events import (
    capacity,
    downloads,
    explanation,
    exports,
    figures,
    intake,
    opt_outs,
    order_warnings,
    preview,
    reports,
)
from dr_events.filters import (
    ChargeStationFilter,
    EventFilter,
    ParticipationFilter,
    SessionFilter,
    SiteFilter,
)
from dr_events.models import Event, Export, OptOut, Participation
from dr_events.representations import (
    CapacityRepresentation,
    ChargeStationRepresentation,
    EventDetail,
    EventRepresentation,
    ExportRepresentation,
    OptOutRepresentation,
    ParticipationRepresentation,
    PreviewRepresentation,
    SessionDetail,
    SessionRepresentation,
    SiteRepresentation,
)
from dr_events.shapes import AmendmentShape, CapacityShape, DeclarationShape, OptOutShape
from dr_events.tasks import export_bell

ABOUT_FILE = [
    OpenApiParameter(
        name, OpenApiTypes.STR, OpenApiParameter.HEADER, response=[200], description=said
    )
    for name, said in (
        ("Repr-Digest", "Its SHA-256 (RFC 9530)."),
        ("Link", "`describedby`: where its signed manifest is."),
    )
]
FleetModel = TypeVar("FleetModel", Site, ChargeStation, Session)

MAX_KEY_LENGTH = 255
MAX_SIZE_DIGITS = 9


class Pages(CursorPagination):
    """Cursor pages: `next` and `previous` are complete addresses. A page size or a cursor that
    makes no sense is refused, not guessed at."""

    page_size = 100
    max_page_size = 1000
    page_size_query_param = "page_size"
    ordering: Any = "id"

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        """Refuses a parameter that is not known: it would be taken for no filter at all."""
        filters = getattr(view, "filterset_class", None)
        known = {self.cursor_query_param, self.page_size_query_param}
        known.update(filters.base_filters if filters else ())
        if unknown := sorted(set(request.query_params) - known):
            raise Problem.invalid(
                [FieldError(name, "unknown_field", "is not known here") for name in unknown]
            )
        return super().paginate_queryset(queryset, request, view)

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get("page_size")
        if asked is None:
            return self.page_size
        # Python refuses to read a number of thousands of digits.
        is_number = asked.isascii() and asked.isdigit() and len(asked) <= MAX_SIZE_DIGITS
        size = int(asked) if is_number else 0
        if not 1 <= size <= self.max_page_size:
            raise Problem(400, "invalid", f"must be 1 to {self.max_page_size}", field="page_size")
        return size

    def decode_cursor(self, request: Request) -> Any:
        try:
            cursor: Any = super().decode_cursor(request)
        except NotFound as error:
            raise self._no_cursor() from error
        if cursor and cursor.position is not None and not self._is_position(cursor.position):
            raise self._no_cursor()
        return cursor

    def _is_position(self, text: str) -> bool:
        """Only as we write it ourselves: what else can be read may be more than the database can
        take, such as a time with an offset of 20 hours."""
        try:
            return str(self.read_position(text)) == text
        except (ValueError, OverflowError):
            return False

    @staticmethod
    def read_position(text: str) -> Any:
        """A value of what the list is ordered by."""
        return int(text)

    @staticmethod
    def _no_cursor() -> Problem:
        return Problem(400, "invalid", "is no cursor of this list", field="cursor")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": self.max_page_size}
        return parameters


class NewestFirst(Pages):
    ordering = ("-declared_at", "id")

    @staticmethod
    def read_position(text: str) -> datetime:
        return datetime.fromisoformat(text).astimezone(UTC)


def actor_of(request: Request) -> Actor:
    """The API client behind a token, and the address it calls from."""
    token: Any = request.auth
    return Actor(f"client:{token.application.name}", str(request.META.get("REMOTE_ADDR", "")))


class EventViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Event]
):
    """Demand-response events: declare, follow, amend, end, cancel, report."""

    queryset = Event.objects.prefetch_related("targets", "intervals")
    serializer_class = EventRepresentation
    filterset_class = EventFilter
    pagination_class = NewestFirst
    lookup_value_converter = "uuid"
    required_alternate_scopes: ClassVar = {
        "GET": [["events:read"]],
        "POST": [["events:write"]],
        "PATCH": [["events:write"]],
    }

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        events = args[0] if kwargs.get("many") else []
        kwargs["context"] = {"counts": figures.counts_of(event.id for event in events)}
        return super().get_serializer_class()(*args, **kwargs)

    @extend_schema(
        request=DeclarationShape,
        responses={
            201: EventDetail,
            200: OpenApiResponse(EventDetail, "Declared before, with the same content."),
        },
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
                OpenApiParameter.HEADER,
                description="The same key with the same body gives the same event.",
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Declare an event. It starts at once unless `starts_at` says otherwise."""
        declared = intake.declare(
            request.data,
            actor=actor_of(request),
            now=timezone.now(),
            idempotency_key=_idempotency_key(request),
        )
        event = declared.event
        headers = {"Location": request.build_absolute_uri(f"{request.path}{event.id}/")}
        return Response(detail(event), status=201 if declared.created else 200, headers=headers)

    @extend_schema(responses=EventDetail)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One event with live counts."""
        return Response(detail(self.get_object()))

    @extend_schema(request=AmendmentShape, responses=EventDetail)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Amend a scheduled or active event: what is left out stays as it is."""
        event = intake.amend(pk, request.data, actor=actor_of(request), now=timezone.now())
        return Response(detail(event))

    @extend_schema(request=None, responses=EventDetail)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: UUID) -> Response:
        """End the event now: every limit of it is lifted. Ending it again changes nothing."""
        event = intake.end(pk, actor=actor_of(request), now=timezone.now())
        return Response(detail(event))

    @extend_schema(request=None, responses=EventDetail)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Cancel a scheduled or active event; limits already set are lifted."""
        event = intake.cancel(pk, actor=actor_of(request), now=timezone.now())
        return Response(detail(event))

    @extend_schema(request=None, responses=EventDetail)
    @action(detail=True, methods=["post"], url_path="restore")
    def restore_at_once(self, request: Request, pk: UUID) -> Response:
        """Give all power back at once, whatever slope was ordered. Saying it again changes
        nothing."""
        event = intake.restore_at_once(pk, actor=actor_of(request), now=timezone.now())
        return Response(detail(event))

    @extend_schema(request=DeclarationShape, responses=PreviewRepresentation)
    @action(detail=False, methods=["post"], url_path="preview")
    def preview(self, request: Request) -> Response:
        """What this declaration would do now. Changes nothing."""
        return Response(preview.preview(request.data, now=timezone.now()).as_json())

    @extend_schema(
        parameters=[
            OpenApiParameter("format", OpenApiTypes.STR, enum=list(reports.FORMATS)),
            OpenApiParameter(
                "async",
                OpenApiTypes.STR,
                enum=["true", "false"],
                description="true: make it in the background and answer 202 at once.",
            ),
            *ABOUT_FILE,
        ],
        responses={
            202: ExportRepresentation,
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): OpenApiTypes.STR,
            **{
                (200, found.content_type): OpenApiTypes.BINARY
                for name, found in reports.FORMATS.items()
                if name not in ("json", "csv")
            },
        },
    )
    @action(
        detail=True,
        methods=["get"],
        required_alternate_scopes={"GET": [["reports:read"]]},
    )
    def report(self, request: Request, pk: UUID) -> StreamingHttpResponse | Response:
        """The auditor's export: one row a participation, or all of the evidence, sealed
        (`package`)."""
        format_, is_async = _report_format(request), _is_async(request)
        event, actor, now = self.get_object(), actor_of(request), timezone.now()
        if not is_async:
            return downloads.report(event, format_, actor=actor, now=now)
        export = exports.request(event, format_, actor=actor, now=now)
        export_bell.ring()
        address = reverse("export", args=[export.pk])
        headers = {"Location": request.build_absolute_uri(address)}
        return Response(ExportRepresentation(export).data, status=202, headers=headers)


def detail(event: Event) -> dict[str, Any]:
    """One event as REST shows it, counts and warnings included."""
    counts = figures.counts_of([event.id])
    warnings = order_warnings.of_event(event, now=timezone.now())
    return EventDetail(event, context={"counts": counts, "warnings": warnings}).data


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        raise Problem(
            400,
            "invalid",
            f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable characters.",
            field="Idempotency-Key",
        )
    return key


def _report_format(request: Request) -> str:
    format_ = request.query_params.get("format", "json")
    if format_ not in reports.FORMATS:
        known = ", ".join(reports.FORMATS)
        raise Problem(
            400, "unknown_format", f"{format_!r} is not a format: {known}.", field="format"
        )
    return format_


def _is_async(request: Request) -> bool:
    said = request.query_params.get("async", "false")
    if said not in ("true", "false"):
        raise Problem(400, "invalid", "must be true or false", field="async")
    return said == "true"


class ExportView(generics.RetrieveAPIView[Export]):
    """A report that is made in the background: how far it has got."""

    queryset = Export.objects.select_related("event")
    serializer_class = ExportRepresentation
    required_alternate_scopes: ClassVar = {"GET": [["reports:read"]]}


class ExportFile(generics.GenericAPIView[Export]):
    """The file of a report that was made in the background."""

    queryset = Export.objects.select_related("event")
    required_alternate_scopes: ClassVar = {"GET": [["reports:read"]]}
    also_answers = (409, 410)

    @extend_schema(
        parameters=ABOUT_FILE,
        responses={
            (200, found.content_type): OpenApiTypes.BINARY for found in reports.FORMATS.values()
        },
    )
    def get(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        """409 while it is not ready; 410 once it is no longer kept."""
        return downloads.export(self.get_object(), actor=actor_of(request), now=timezone.now())


class ExportManifest(generics.GenericAPIView[Export]):
    """What the file of an export is, signed: kept with the record of each, file or no file."""

    queryset = Export.objects.all()
    required_alternate_scopes: ClassVar = {"GET": [["reports:read"]]}
    also_answers = (409, 410)

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """409 while it is not ready; 410 for one that is older than manifests."""
        return downloads.manifest(self.get_object())


class ParticipationList(generics.ListAPIView[Participation]):
    """Per session of an event: wanted, confirmed, metered, reason, times."""

    serializer_class = ParticipationRepresentation
    filterset_class = ParticipationFilter
    pagination_class = Pages
    required_alternate_scopes: ClassVar = {"GET": [["events:read"]]}
    queryset = Participation.objects.select_related("session__chargestation__site")

    def get_queryset(self) -> QuerySet[Participation]:
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset().none()
        event = _event_or_404(self.kwargs["event_id"])
        return super().get_queryset().filter(event=event)


class OptOutViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[OptOut]):
    """Who an event leaves alone: opt-outs of drivers and owners, exemptions by operators."""

    serializer_class = OptOutRepresentation
    pagination_class = Pages
    queryset = OptOut.objects.all()
    lookup_value_converter = "int"
    required_alternate_scopes: ClassVar = {
        "GET": [["events:read"]],
        "POST": [["events:write"]],
        "DELETE": [["events:write"]],
    }

    def get_queryset(self) -> QuerySet[OptOut]:
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset().none()
        return super().get_queryset().filter(event=_event_or_404(self.kwargs["event_id"]))

    @extend_schema(
        request=OptOutShape,
        responses={
            201: OptOutRepresentation,
            200: OpenApiResponse(OptOutRepresentation, "Was out already."),
        },
    )
    def create(self, request: Request, event_id: UUID) -> Response:
        """Leave an event: the limit is lifted at once. 409 where the budget of the year is
        spent."""
        made = opt_outs.opt_out(event_id, request.data, actor=actor_of(request), now=timezone.now())
        shown = OptOutRepresentation(made.opt_out).data
        return Response(shown, status=201 if made.created else 200)

    @extend_schema(responses={200: OptOutRepresentation})
    def destroy(self, request: Request, event_id: UUID, pk: int) -> Response:
        """Take part again. The opt-out stays on record."""
        found = opt_outs.withdraw(event_id, pk, actor=actor_of(request), now=timezone.now())
        return Response(OptOutRepresentation(found).data)


def _event_or_404(event_id: UUID) -> Event:
    event = Event.objects.filter(pk=event_id).first()
    if event is None:
        raise Problem(404, "not_found", f"There is no event {event_id}.")
    return event


class FleetViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[FleetModel]
):
    """Things that are known by our id and by eDRV's; either finds them."""

    pagination_class = Pages
    required_alternate_scopes: ClassVar = {"GET": [["fleet:read"]]}

    def get_object(self) -> FleetModel:
        wanted = self.kwargs["pk"]
        # PostgreSQL knows no NUL, so nothing is known by one.
        found = None if "\x00" in wanted else self.get_queryset().filter(external_id=wanted).first()
        if found is None and wanted.isascii() and wanted.isdigit() and len(wanted) <= 18:
            found = self.get_queryset().filter(pk=int(wanted)).first()
        if found is None:
            raise Problem(404, "not_found", f"Nothing is known as {wanted}.", field="id")
        return found


class SiteViewSet(FleetViewSet[Site]):
    """eDRV's locations with their place in the grid."""

    queryset = Site.objects.all()
    serializer_class = SiteRepresentation
    filterset_class = SiteFilter

    @extend_schema(methods=["PUT"], request=CapacityShape, responses=CapacityRepresentation)
    @extend_schema(methods=["GET"], responses=CapacityRepresentation)
    @extend_schema(methods=["DELETE"], responses={204: None})
    @action(
        detail=True,
        methods=["get", "put", "delete"],
        required_alternate_scopes={
            "GET": [["fleet:read"]],
            "PUT": [["events:write"]],
            "DELETE": [["events:write"]],
        },
    )
    def available_power(self, request: Request, pk: str) -> Response:
        """What the site may import for its cars, from the sun, a battery or a fuse. It holds
        beside all events, the stricter of both; when it is not said again in time, the safe
        value holds. DELETE lifts it."""
        site, now = self.get_object(), timezone.now()
        if request.method == "DELETE":
            capacity.remove(site, actor=actor_of(request), now=now)
            return Response(status=204)
        if request.method == "PUT":
            found = capacity.put(site, request.data, actor=actor_of(request), now=now)
        else:
            found = capacity.of_site(site)
        return Response(CapacityRepresentation(found).data)


class ChargeStationViewSet(FleetViewSet[ChargeStation]):
    """Chargestations with their connectors."""

    queryset = ChargeStation.objects.select_related("site").prefetch_related("connectors")
    serializer_class = ChargeStationRepresentation
    filterset_class = ChargeStationFilter


class SessionViewSet(FleetViewSet[Session]):
    """Charging sessions: what each draws, what it is held to, and by which event."""

    queryset = Session.objects.select_related("chargestation__site", "connector").prefetch_related(
        Prefetch(
            "participations",
            Participation.objects.filter(released_at=None).select_related("event"),
            to_attr="running_participations",
        )
    )
    serializer_class = SessionRepresentation
    filterset_class = SessionFilter

    @extend_schema(responses=SessionDetail)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One session, and why it is at this limit."""
        session = self.get_object()
        why = explanation.explain(session, now=timezone.now()).as_json()
        return Response(SessionDetail(session, context={"why": why}).data)
