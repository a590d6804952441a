"""The route of ads."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, HTTPException

from serving.campaigns.audience import suggestion
from serving.gateway.ads.desk import AdDesk
from serving.gateway.ads.messages import AD_EXAMPLES, AdAnswer, AdAsked
from serving.gateway.ads.snapshot import AdSnapshot, Offering, moment
from serving.gateway.gateway import Gateway
from serving.gateway.problem import Problem, invalid

OFF = "no campaigns: start the gateway with --campaigns FILE, see `supplytower serve gateway --help`"


def ads_router(gateway: Gateway) -> APIRouter:
    """The route of ads."""
    router = APIRouter(tags=["ads"])
    desk = AdDesk(gateway)

    @router.post(
        "/v1/ads/decide",
        summary="Decide which campaign to show to a customer now",
        responses={503: {"model": Problem, "description": "no campaigns are served, or the store does not answer"}},
    )
    async def decide(body: Annotated[AdAsked, Body(openapi_examples=AD_EXAMPLES)]) -> AdAnswer:
        """The campaign that is worth most to show to this customer now, with its best product; or none, and why.

        Events posted before this request are known. What is shown is on record before it is answered, counts for caps
        and budgets of all gateways that share the store, and stays the answer to this request_id. A request that got
        nothing is decided anew when it is sent again.
        """
        if gateway.ads is None:
            raise HTTPException(503, OFF)
        snapshot, time_ms = gateway.ads.current(), int(gateway.clock() * 1000)
        return await desk.answer(body, snapshot, open_offerings(body, snapshot, time_ms), time_ms)

    return router


def open_offerings(body: AdAsked, snapshot: AdSnapshot, time_ms: int) -> Sequence[Offering]:
    """The campaigns that are asked about and run today."""
    if body.channel not in snapshot.channels:
        there = f"{suggestion(body.channel, snapshot.channels)}; there are {', '.join(snapshot.channels)}"
        raise invalid(("channel",), f"no campaign uses {body.channel!r}{there}")
    names = {one.campaign.id for one in snapshot.offerings}
    if unknown := [name for name in body.campaigns if name not in names]:
        raise invalid(("campaigns",), f"no campaign {unknown[0]!r}; there are {', '.join(sorted(names))}")
    wanted, day = set(body.campaigns) or names, moment(time_ms).date()
    return [
        one
        for one in snapshot.offerings
        if one.campaign.id in wanted
        and one.campaign.channel == body.channel
        and one.campaign.start <= day <= one.campaign.end
    ]
