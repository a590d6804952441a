"""How much of a flight's budget may be spent today."""

from datetime import date

from serving.campaigns.campaign import Campaign


def budget_of_day(campaign: Campaign, day: date, spent: float) -> float:
    """Money for the contacts of a day.

    Even pacing spends budget × elapsed days / days by the end of each day, so what earlier days left over is used.

    Args:
        campaign: with its budget and flight.
        day: of the flight.
        spent: in the flight so far.

    Returns:
        At least 0, and never more than what is left.
    """
    left = max(campaign.budget - spent, 0.0)
    if campaign.pacing == "asap":
        return left
    elapsed = (day - campaign.start).days + 1
    return min(left, max(campaign.budget * elapsed / campaign.days - spent, 0.0))
