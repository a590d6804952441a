"""What is asked and answered about ads, with the examples that the documentation shows."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from serving.gateway.messages import Asked, ContextEvent, Identifier


class AdAsked(Asked):
    """To whom an ad might be shown, and where."""

    user_id: Identifier = Field(description="of a customer, or of a visitor whom nobody knows")
    channel: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="where it would be shown: the `channel` of campaigns"
    )
    request_id: Identifier | None = Field(
        default=None,
        description="of the customer's request: sent again, it gets what was shown, and nothing is spent twice",
    )
    campaigns: list[Identifier] = Field(default_factory=list, max_length=100, description="only these; none: all")
    context: list[ContextEvent] = Field(default_factory=list, max_length=200)
    explain: bool = Field(default=False, description="whether to say why each of the other campaigns is not shown")


AD_EXAMPLES: dict[str, Any] = {
    "short": {"summary": "is there something to show?", "value": {"user_id": "42", "channel": "ad"}},
    "all": {
        "summary": "with the running visit, and why not the others",
        "value": {
            "user_id": "42",
            "channel": "ad",
            "request_id": "page-view-8d0f",
            "campaigns": [],
            "context": [{"item_id": "1049998", "event_type": "cart"}],
            "explain": True,
        },
    },
}


class CampaignRefused(BaseModel):
    """Why a campaign is not shown."""

    campaign_id: str
    reason: str
    reason_code: str


class AdAnswer(BaseModel):
    """What to show, or that nothing is to be shown, and why."""

    show: bool
    campaign_id: str | None = None
    item_id: str | None = None
    item_name: str | None = None
    creative: str | None = Field(default=None, description="the shop's template, as the campaign names it")
    decision_id: str | None = Field(default=None, description="of what is shown; clicks and sales may be told by it")
    value: float | None = Field(default=None, description="expected money, the contact's cost deducted")
    reason: str
    reason_code: str = Field(
        description="chosen; the reason of the campaign that came closest; or no_campaign, no_model, busy"
    )
    refused: list[CampaignRefused] | None = Field(default=None, description="if `explain`")
    request_id: str = Field(description="as asked, or made")
