"""What tests of fetching share: one picture, and a fetcher that lives for one fetch."""

import asyncio

import pytest
from edgevlm_server.images.fetch import ImageFetcher, Resolve
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.hosts import ImageHosts

from tests.server.images.image_files import encode, noise
from tests.server.images.picture_hosts import no_resolver

PNG = encode(noise(20, 20), "PNG")
LIMITS = ImageLimits(max_bytes=100_000, fetch_seconds=20)


def fetch(
    url: str, hosts: str = "127.0.0.1/32", resolve: Resolve = no_resolver, limits: ImageLimits = LIMITS
) -> bytes:
    async def main() -> bytes:
        return await ImageFetcher(ImageHosts.parse(hosts), limits, resolve).fetch(url)

    return asyncio.run(main())


def refusal(url: str, hosts: str, resolve: Resolve = no_resolver, limits: ImageLimits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        fetch(url, hosts, resolve, limits)
    return caught.value
