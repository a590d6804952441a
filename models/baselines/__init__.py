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
    "recent-popularity": partial(Popularity, half_life_days=3.5),
    "personal-frequency": PersonalFrequency,
    "decayed-frequency": partial(PersonalFrequency, half_life_days=84),
    "tifu-knn": partial(TifuKnn, groups=7, basket_decay=0.97, group_decay=0.8, neighbours=100, own_share=0.6),
    "item-knn-cosine": partial(ItemKnn, "cosine", neighbours=2),
    "item-knn-jaccard": partial(ItemKnn, "jaccard", neighbours=2),
    "user-knn-cosine": partial(UserKnn, "cosine", neighbours=10),
    "user-knn-pearson": partial(UserKnn, "pearson", neighbours=10),
    "content-based": ContentBased,
    "als": partial(Als, factors=128, regularization=10.0, confidence=0.3),
}
"""Name, as `Recommender.name` gives it, to a function that makes an unfitted one."""
