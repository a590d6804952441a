"""Who a customer is."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from data_pipelines.schema import SEGMENT, SEGMENT_ID, USER_ID
from serving.gateway.gateway import Gateway
from serving.gateway.problem import Problem
from serving.gateway.profile_messages import ProfileAnswer, ProfileSegment
from serving.gateway.recommender import stored_history

MISSING = "this gateway has no profiles; start it with --profiles PROFILES, see `supplytower profile build --help`"


def profiles_router(gateway: Gateway) -> APIRouter:
    """The route of profiles."""
    router = APIRouter(tags=["profiles"])

    @router.get(
        "/v1/profiles/{user_id:path}",
        summary="Say who a customer is",
        responses={404: {"model": Problem, "description": "nothing is known of the customer"}},
    )
    async def profile(user_id: Annotated[str, Path(min_length=1, max_length=256, examples=["42"])]) -> ProfileAnswer:
        """Segment and features as `supplytower profile build` found them, and how much has happened since.

        New profiles are read when they were built; a customer who came after that is not known.
        """
        if gateway.profiles is None:
            raise HTTPException(503, MISSING)
        profiles = gateway.profiles.current()
        row = profiles.row(user_id)
        if row is None:
            raise HTTPException(404, f"no profile of this customer as of {profiles.as_of:%Y-%m-%d %H:%M} UTC")
        history, as_of_ms = await stored_history(gateway, user_id), profiles.as_of.timestamp() * 1000
        return ProfileAnswer(
            user_id=row.pop(USER_ID),
            as_of=profiles.as_of,
            segment=ProfileSegment(id=row.pop(SEGMENT_ID), name=row.pop(SEGMENT)),
            features=row,
            events_since=None if history is None else sum(time_ms >= as_of_ms for time_ms in history.time_ms),
        )

    return router
