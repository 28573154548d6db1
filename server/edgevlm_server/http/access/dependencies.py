"""What FastAPI hands to routes: the service, and the client whose key was sent. Knows HTTP, no route and no body."""

from typing import Annotated

from fastapi import Depends, Request

from edgevlm_server.errors import Unauthorized
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.transport.connections import origin_of
from edgevlm_server.observe.record import record_of
from edgevlm_server.request import Client
from edgevlm_server.service import Service
from edgevlm_server.stations import Stations


async def get_service(request: Request) -> Service:
    """The service that this application was made for."""
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(get_service)]


async def get_stations(request: Request) -> Stations:
    """The stations that this application was made with."""
    stations: Stations = request.app.state.stations
    return stations


Known = Annotated[Stations, Depends(get_stations)]


async def authorise(request: Request) -> None:
    """Raise `Unauthorized` unless the request carries the key of a known client, or no keys are set up."""
    keys: KeyRing | None = request.app.state.keys
    if keys is None:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    client = keys.client_of(key)
    if client is None:
        service: Service = request.app.state.service
        service.metrics.unauthorized.inc()
        raise Unauthorized.with_wrong_key() if key else Unauthorized.without_key()
    record_of(request.scope).client = client


def client_of(request: Request) -> Client:
    """Who has sent it: the client whose key it carries, or whoever is at the address."""
    name = record_of(request.scope).client
    if name is not None:
        return Client(name, name)
    host = "" if request.client is None else request.client.host
    try:
        return Client(None, origin_of(host).hex())
    except ValueError:  # what a trusted proxy calls it
        return Client(None, host)
