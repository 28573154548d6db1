"""`POST /v1/readings`: named values from pictures, and the stations that they are read at. Knows HTTP, no wire shape.

Each field is a sequence of its own behind pictures that all of them share; they run side by side.
"""

from functools import partial
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from edgevlm_server.api import answers, examples
from edgevlm_server.api.accept import takes_csv
from edgevlm_server.api.readings import (
    Readable,
    ReadingsForm,
    ReadingsRequest,
    reading_body,
    readings_body,
    readings_csv,
)
from edgevlm_server.api.stations import shown
from edgevlm_server.errors import InvalidRequest, NotFound
from edgevlm_server.http.access.dependencies import Known, Served
from edgevlm_server.http.body.read import read_json_or_form
from edgevlm_server.http.openapi import GENERATING, PLAIN, may_answer, takes
from edgevlm_server.http.visit import Arrival, Visit, begun, enter
from edgevlm_server.http.waves import Waves
from edgevlm_server.observe.record import CLIENT_CLOSED_REQUEST
from edgevlm_server.readings.asking import Ask, Asking
from edgevlm_server.readings.field import Field, Reading
from edgevlm_server.readings.station import Station, at_least
from edgevlm_server.readings.views import in_part, views
from edgevlm_server.refusals import NoValue, Refused
from edgevlm_server.request import Picture
from edgevlm_server.runtime.output import ClientLeft
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.service import Service
from edgevlm_server.stations import Stations

router = APIRouter(tags=["generation"])


class _Order(NamedTuple):
    """What is to be read from what."""

    station: str | None
    model: str | None
    fields: tuple[Field, ...]
    pictures: tuple[Picture, ...]
    place: str
    """Where its fields stand."""

    def asks(self, asking: Asking) -> list[Ask]:
        """A question a field."""
        shown = views(self.pictures, self.fields, self.place)
        return [
            asking.about(field, pictures, f"{self.place}.{index}")
            for index, (field, pictures) in enumerate(zip(self.fields, shown, strict=True))
        ]


class _Ready(NamedTuple):
    """What is kept of a request once it is prepared: its pictures need not wait for the answers."""

    station: str | None
    fields: tuple[Field, ...]
    sequences: list[Sequence]
    visit: Visit


@router.post(
    "/v1/readings",
    response_model=answers.Readings,
    responses=may_answer(
        (*GENERATING, 502), {"text/csv": "A header, and a row for each field, if `Accept` asks for CSV."}
    ),
    openapi_extra=takes(ReadingsRequest, examples.READINGS, form=ReadingsForm),
)
async def readings(request: Request, service: Served, stations: Known) -> Response:
    """Named values from a picture: numbers, texts, choices, each with how sure it is, or why there is none.

    Also as a form: `curl -F image=@part.jpg -F station=press-4`.
    """
    with begun(request, service) as (arrival, loaded, count):
        asking = Asking(service, loaded, arrival.client, arrival.record)
        ready = await _accept(arrival, asking, stations)
        # nothing is awaited before its first wave is queued, so it is either rejected or accepted
        arrival.record.enter("queue")
        waves = Waves(service, loaded.batcher, arrival.client, ready.visit, ready.sequences)
        count.answers = len(waves.tickets)
    try:
        body = await _answer(asking, ready, waves)
        return _sent(body, request, service.admission.limits.headers(arrival.client.share))
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    finally:
        waves.end()


@router.get("/v1/stations", responses=may_answer(PLAIN))
async def list_stations(stations: Known) -> answers.StationList:
    """Where something can be read, and what; `POST /v1/readings` takes their names."""
    return answers.StationList(data=[answers.Station(**shown(station)) for station in stations.all])


async def _receive(arrival: Arrival, service: Service, stations: Stations) -> _Order:
    """Read and check. Raises `ApiError`."""
    read = partial(read_json_or_form, arrival.request, ReadingsRequest, ReadingsForm, service.settings.max_body)
    asked = await arrival.deadline.within(lambda: service.admission.receive(arrival.client.share, read))
    arrival.record.enter("prepare")
    least = service.settings.min_confidence
    if asked.station is None:
        return _own_order(asked, least)
    return _station_order(asked, _found(stations, asked.station), least)


def _found(stations: Stations, name: str) -> Station:
    station = stations.find(name)
    if station is None:
        raise NotFound("station: There is no station of this name.", code="station_not_found", param="station")
    return station


def _own_order(asked: Readable, least: float) -> _Order:
    if not asked.pictures:
        raise _no_picture("There is no picture to read from")
    fields = at_least(asked.asked, asked.min_confidence, least)
    return _Order(None, asked.model, fields, in_part(asked.pictures, asked.own_region), "fields")


def _station_order(asked: Readable, station: Station, least: float) -> _Order:
    pictures = asked.pictures
    if not pictures:
        if station.source is None:
            raise _no_picture("There is no picture, and the station has no address of one")
        pictures = (Picture(station.source, place="station", by_site=True),)
    fields = at_least(station.fields, asked.min_confidence, station.min_confidence, least)
    pictures = in_part(pictures, asked.own_region, station.region)
    return _Order(station.name, asked.model, fields, pictures, "station.fields")


def _no_picture(reason: str) -> InvalidRequest:
    return InvalidRequest(f"images: {reason}.", code="invalid_value", param="images")


async def _accept(arrival: Arrival, asking: Asking, stations: Stations) -> _Ready:
    """Read, check and prepare; the caller gives the places back."""
    service, record = asking.service, arrival.record
    order = await _receive(arrival, service, stations)
    record.answers = len(order.fields)
    if record.exchange is not None:
        record.exchange.asked("\n".join(field.question for field in order.fields))
    with enter(arrival, service.admission, min(service.admission.slots, len(order.fields))) as visit:
        prepared = partial(asking.prepare, order.asks(asking), order.model)
        return _Ready(order.station, order.fields, await service.prepare(visit.work(), prepared), visit)


async def _answer(asking: Asking, ready: _Ready, waves: Waves) -> dict[str, Any]:
    """Raises `ApiError` if the engine fails, `ClientLeft`."""
    record, found = asking.record, list[Reading]()
    try:
        async for reading in asking.readings(waves.each(), ready.fields):
            found.append(reading)
            asking.service.metrics.answers.read(reading.reason or "read")
    finally:
        usage = waves.usage
        waves.note_stages(record)
        record.counted(*usage)
        if found:
            record.judged(min(one.confidence for one in found), _refused(found))
        if record.exchange is not None:
            record.exchange.decided = [reading_body(one) for one in found]
    record.enter("send")
    return readings_body(asking.loaded.model.manifest.model, ready.station, found, usage)


def _refused(found: list[Reading]) -> Refused | None:
    """Why one of them has no value, if the model cannot tell, or is not sure."""
    reasons: dict[NoValue | None, Refused] = {"refused": "by_model", "low_confidence": "low_confidence"}
    return next((reasons[one.reason] for one in found if one.reason in reasons), None)


def _sent(body: dict[str, Any], request: Request, headers: dict[str, str]) -> Response:
    if takes_csv(request.headers.get("accept", "")):
        return PlainTextResponse(readings_csv(body), media_type="text/csv", headers=headers)
    return JSONResponse(body, headers=headers)
