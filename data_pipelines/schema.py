"""The ground floor: table columns, event types, reserved indices, signature names and the one user-facing error.

Standard library only, imported by every other layer, so that a column or a signature input is spelt in one place.
"""

from dataclasses import dataclass
from enum import StrEnum

# --- columns ---
USER_ID = "user_id"
ITEM_ID = "item_id"
ITEM_NAME = "item_name"
EVENT_TYPE = "event_type"
TIMESTAMP = "timestamp"
BASKET_ID = "basket_id"
SESSION_ID = "session_id"
QUANTITY = "quantity"
PRICE = "price"
STORE_ID = "store_id"
CHANNEL = "channel"
RANK = "rank"
SCORE = "score"
WEEK_START = "week_start"
DISPLAY_SHARE = "display_share"
MAILER_SHARE = "mailer_share"
UNIQUE_ID = "unique_id"
DS = "ds"
Y = "y"
IN_STOCK = "in_stock"
ON_HAND = "on_hand"
ON_ORDER = "on_order"
LEAD_TIME_DAYS = "lead_time_days"
REVIEW_DAYS = "review_days"
UNIT_COST = "unit_cost"
ORDER_COST = "order_cost"
HOLDING_COST = "holding_cost"
STOCKOUT_COST = "stockout_cost"
MOQ = "moq"
PACK_SIZE = "pack_size"
CAPACITY = "capacity"
SHELF_LIFE_DAYS = "shelf_life_days"
VOLUME = "volume"
UNIT = "unit"
VARIANT = "variant"
EXPERIMENT = "experiment"
PROPENSITY = "propensity"
EXPOSED_AT = "exposed_at"
OUTCOME_AT = "outcome_at"
LAST_SEEN_AT = "last_seen_at"

CAMPAIGN_ID = "campaign_id"
DECISION_ID = "decision_id"
SEND_AT = "send_at"
COST = "cost"
VALUE = "value"
DECIDED = "decided"
CONSENT = "consent"
UPLIFT = "uplift"
TIME_ZONE = "time_zone"
SEGMENT = "segment"
RECENCY_DAYS = "recency_days"
FIRST_SEEN_DAYS = "first_seen_days"
FREQUENCY = "frequency"
MONETARY = "monetary"
BASKET_VALUE = "basket_value"
TOP_CATEGORY = "top_category"
STOCKOUT_PROBABILITY = "stockout_probability"
DAYS_OF_COVER = "days_of_cover"
OVERSTOCKED = "overstocked"
SOURCE_ROW = "__source_row"  # 1 = the first data row of the file a row came from; only while data are being prepared
REASON = "__reason"  # why a row is quarantined; null for a good row


class EventType(StrEnum):
    """The event types the package knows by name; any other string is kept and gets its own embedding."""

    VIEW = "view"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    PURCHASE = "purchase"


class Kind(StrEnum):
    """The type a column must hold after reading; `STRING` accepts integers too (ids are often numbers)."""

    STRING = "string"
    TIMESTAMP = "timestamp"
    NUMBER = "number"
    FLAG = "flag"


@dataclass(frozen=True)
class Table:
    """One table of the data contract.

    Args:
        name: file stem, e.g. `events` for `events.parquet` or `events.csv`.
        required: column name to kind; a missing one is an error.
        optional: column name to kind, checked when present. Any further column is kept as an attribute.
        key: the columns that together identify a row, empty where rows may repeat.
        nullable: required columns in which single values may be missing.
        plans: whether times may lie in the future.
    """

    name: str
    required: dict[str, Kind]
    optional: dict[str, Kind]
    key: tuple[str, ...] = ()
    nullable: tuple[str, ...] = ()
    plans: bool = False


EVENTS = Table(
    "events",
    {USER_ID: Kind.STRING, ITEM_ID: Kind.STRING, EVENT_TYPE: Kind.STRING, TIMESTAMP: Kind.TIMESTAMP},
    {
        BASKET_ID: Kind.STRING,
        SESSION_ID: Kind.STRING,
        QUANTITY: Kind.NUMBER,
        PRICE: Kind.NUMBER,
        STORE_ID: Kind.STRING,
        CHANNEL: Kind.STRING,
    },
)
ITEMS = Table("items", {ITEM_ID: Kind.STRING}, {PRICE: Kind.NUMBER}, (ITEM_ID,))
USERS = Table("users", {USER_ID: Kind.STRING}, {}, (USER_ID,))
DEMAND = Table(
    "demand",
    {UNIQUE_ID: Kind.STRING, DS: Kind.TIMESTAMP, Y: Kind.NUMBER},
    {PRICE: Kind.NUMBER, IN_STOCK: Kind.FLAG},
    key=(UNIQUE_ID, DS),
    nullable=(Y,),
    plans=True,
)
SERIES = Table("series", {UNIQUE_ID: Kind.STRING}, {PRICE: Kind.NUMBER}, (UNIQUE_ID,))
FUTURE = Table(
    "future",
    {UNIQUE_ID: Kind.STRING, DS: Kind.TIMESTAMP},
    {PRICE: Kind.NUMBER},
    key=(UNIQUE_ID, DS),
    plans=True,
)
STOCK = Table(
    "stock",
    {UNIQUE_ID: Kind.STRING},
    dict.fromkeys(
        (
            ON_HAND,
            ON_ORDER,
            LEAD_TIME_DAYS,
            REVIEW_DAYS,
            UNIT_COST,
            PRICE,
            ORDER_COST,
            HOLDING_COST,
            STOCKOUT_COST,
            MOQ,
            PACK_SIZE,
            CAPACITY,
            SHELF_LIFE_DAYS,
            VOLUME,
        ),
        Kind.NUMBER,
    ),
    key=(UNIQUE_ID,),
)
# Campaigns that were run: moments are UTC, a campaign runs from `starts_at` until just before `ends_at`.
CAMPAIGN_ID = "campaign_id"
CAMPAIGN_TYPE = "campaign_type"
STARTS_AT = "starts_at"
ENDS_AT = "ends_at"
OFFER_ID = "offer_id"
CAMPAIGNS = Table(
    "campaigns",
    {CAMPAIGN_ID: Kind.STRING, STARTS_AT: Kind.TIMESTAMP, ENDS_AT: Kind.TIMESTAMP},
    {CAMPAIGN_TYPE: Kind.STRING},
    key=(CAMPAIGN_ID,),
    plans=True,
)
EXPOSURES = Table("exposures", {USER_ID: Kind.STRING, CAMPAIGN_ID: Kind.STRING}, {}, key=(USER_ID, CAMPAIGN_ID))
OFFERS = Table("offers", {CAMPAIGN_ID: Kind.STRING, ITEM_ID: Kind.STRING}, {OFFER_ID: Kind.STRING})
OUTCOMES = Table(
    "outcomes",
    {USER_ID: Kind.STRING, CAMPAIGN_ID: Kind.STRING, TIMESTAMP: Kind.TIMESTAMP},
    {OFFER_ID: Kind.STRING},
)
MARKETING = (CAMPAIGNS, EXPOSURES, OFFERS, OUTCOMES)
"""Which campaigns ran, who got them, which items they offered, who answered when (bought, redeemed a coupon)."""
COUPON_DISCOUNT = "coupon_disc"  # of events: money off by coupon, where the shop keeps it
RETAIL_DISCOUNT = "retail_disc"  # of events: money off by the shop's own price
PROMOTIONS = "promotions"  # the table of shares of stores per item and week

# --- reserved indices of every id vocabulary (the convention of keras.layers.StringLookup) ---
PADDING = 0  # no event, no item: masked everywhere
UNKNOWN = 1  # the out-of-vocabulary bucket
FIRST_KNOWN = 2

# --- the exported signatures ---
SERVING_DEFAULT = "serving_default"
SCORE_SIGNATURE = "score"
USER_EMBEDDING = "user_embedding"
ITEM_EMBEDDING = "item_embedding"
HISTORY_ITEM_ID = "history_item_id"
HISTORY_EVENT_TYPE = "history_event_type"
HISTORY_TIMESTAMP = "history_timestamp"
EXCLUDE_ITEM_ID = "exclude_item_id"
CANDIDATE_ITEM_ID = "candidate_item_id"
K = "k"
EMBEDDING = "embedding"
PROBABILITY = "probability"
DEMAND_HISTORY = "demand"
START_DATE = "start_date"
HORIZON = "horizon"
MEAN = "mean"
QUANTILES = "quantiles"
LEVELS = "levels"
Y_HAT = "y_hat"

# --- the exported models ---
RECOMMENDER = "recommender"
DEMAND_FORECASTER = "demand_forecaster"

# --- basket rules ---
CATEGORY = "category"
LEVEL = "level"
ANTECEDENT = "antecedent"
CONSEQUENT = "consequent"
SUPPORT = "support"
CONFIDENCE = "confidence"
LIFT = "lift"
LEVERAGE = "leverage"
CONVICTION = "conviction"
P_VALUE = "p_value"
P_ADJUSTED = "p_adjusted"
BASKETS = "baskets"
CUSTOMERS = "customers"
LIFT_SAME_SIZE = "lift_same_size"
LIFT_SAME_CUSTOMER = "lift_same_customer"
BUNDLE_ITEMS = "items"
MARGIN = "margin"
RULES_FILE, BUNDLES_FILE = "rules.parquet", "bundles.parquet"
"""Of the folder that `supplytower rules mine` writes: one row per rule, and one per bundle."""

# --- customer profiles ---
PROFILES_FILE, SEGMENTS_FILE = "profiles.parquet", "segments.json"
"""Of the folder that `supplytower profile build` writes: a row per user, and how segments were made."""
UNTIL = "until"
"""In the latter: the moment as of which customers were profiled, ISO 8601, UTC."""
SEGMENT_ID = "segment_id"
TENURE_DAYS = "tenure_days"
BASKET_SIZE = "basket_size"
CATEGORY_SHARE = "category_share"
TOP_BRAND = "top_brand"
TOP_BRAND_SHARE = "top_brand_share"
REPEAT_SHARE = "repeat_share"
PRICE_INDEX = "price_index"
PAID_INDEX = "paid_index"
PROMOTION_SHARE = "promotion_share"
DISCOUNT_SHARE = "discount_share"
NIGHT_SHARE = "night_share"
MORNING_SHARE = "morning_share"
AFTERNOON_SHARE = "afternoon_share"
EVENING_SHARE = "evening_share"
WEEKEND_SHARE = "weekend_share"
BROWSE_TO_BUY = "browse_to_buy"
CHANNEL_SHARE = "channel_share_"  # followed by the channel


class InputError(ValueError):
    """Something the user gave is wrong: the message is one line that names the thing, the value and the remedy.

    Every command prints it without a traceback and exits with status 2.
    """
