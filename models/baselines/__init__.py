"""The baselines by name, in the order of the evaluation table.

Hyperparameters are those that `benchmarks/tune_baselines.py` chose on the validation baskets of the Complete Journey
grocery data.
"""

from collections.abc import Callable
from functools import partial

from models.baselines.als import Als
from models.baselines.content_based import ContentBased
from models.baselines.item_knn import ItemKnn
from models.baselines.personal_frequency import PersonalFrequency
from models.baselines.popularity import Popularity
from models.baselines.tifu_knn import TifuKnn
from models.baselines.user_knn import UserKnn
from models.recommender import Recommender

BASELINES: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "recent-popularity": partial(Popularity, half_life_days=28),
    "personal-frequency": PersonalFrequency,
    "decayed-frequency": partial(PersonalFrequency, half_life_days=60),
    "tifu-knn": TifuKnn,
    "item-knn-cosine": partial(ItemKnn, similarity="cosine"),
    "item-knn-jaccard": partial(ItemKnn, similarity="jaccard"),
    "user-knn-cosine": partial(UserKnn, similarity="cosine"),
    "user-knn-pearson": partial(UserKnn, similarity="pearson"),
    "content-based": ContentBased,
    "als": Als,
}
"""Name, as `Recommender.name` gives it, to a function that makes an unfitted one."""
