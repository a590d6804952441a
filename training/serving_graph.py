"""The graph that is exported: strings and timestamps in, strings out, nothing left to prepare for a client.

Ids are looked up, events are sorted and cut, and everything else is derived by the model's own code, so training and
serving cannot differ. Item vectors are computed once and saved in place of the item tower.

    serving_default   history, k, exclude_item_id  -> item_id, score   the best items; score is the ranking logit
    score             history, candidate_item_id   -> probability      calibrated purchase probability
    user_embedding    history                      -> embedding        query vector with a 1 appended
    item_embedding    item_id                      -> embedding        item vector with the item's bias appended

The dot product of the two embeddings is the towers' part of the ranking logit, for a request after the end of the
training log, so that item embeddings can stand in any nearest-neighbour index for the inner product. What it leaves
out is the user's affinity to an item's attributes and, for items taken before, the repeat head.

`history` is user_id and timestamp (when is asked; seconds since 1970-01-01 UTC) `[batch]`, history_item_id,
history_event_type and history_timestamp `[batch, length]`, in any order and of any length, none included. An event
whose item is "" is padding. Unknown users, items and event types are served by the vectors that training reserved for
them. Events that share a timestamp are one basket; their order matters only where `sequence_events` cuts through it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from data_pipelines import datasets
from data_pipelines.schema import (
    CANDIDATE_ITEM_ID,
    EMBEDDING,
    EXCLUDE_ITEM_ID,
    FIRST_KNOWN,
    HISTORY_EVENT_TYPE,
    HISTORY_ITEM_ID,
    HISTORY_TIMESTAMP,
    ITEM_EMBEDDING,
    ITEM_ID,
    PADDING,
    PROBABILITY,
    SCORE,
    SCORE_SIGNATURE,
    SERVING_DEFAULT,
    TIMESTAMP,
    UNKNOWN,
    USER_EMBEDDING,
    USER_ID,
    K,
)
from models.losses import NEVER
from models.two_tower import Catalogue, TwoTower

Tensor = Any
Outputs = dict[str, Tensor]
Ids = Sequence[str] | npt.NDArray[np.str_]
HISTORY = (
    tf.TensorSpec([None], tf.string, USER_ID),
    tf.TensorSpec([None], tf.int64, TIMESTAMP),
    tf.TensorSpec([None, None], tf.string, HISTORY_ITEM_ID),
    tf.TensorSpec([None, None], tf.string, HISTORY_EVENT_TYPE),
    tf.TensorSpec([None, None], tf.int64, HISTORY_TIMESTAMP),
)


@dataclass(frozen=True)
class Vocabularies:
    """The strings behind the model's indices; position 0 is padding, 1 is unknown.

    Args:
        items: item ids.
        users: user ids.
        event_types: event types.
    """

    items: Ids
    users: Ids
    event_types: Ids


class ServingGraph:
    """A trained model as TensorFlow functions of raw requests.

    Args:
        model: the model, with kernels that every server has (see `training.servable`).
        vocabularies: the strings behind its indices.
        history_length: the most recent events that the model sees.
    """

    def __init__(self, model: TwoTower, vocabularies: Vocabularies, history_length: int):
        self._model, self._history_length = model, history_length
        self._items = _index(vocabularies.items)
        self._users = _index(vocabularies.users)
        self._event_types = _index(vocabularies.event_types)
        self._item_ids = tf.constant(np.asarray(vocabularies.items, np.str_))
        self._catalogue = Catalogue(
            *(None if part is None else tf.Variable(part, trainable=False) for part in model.catalogue())
        )

    def save(self, path: Path) -> None:
        """Write the SavedModel into the folder `path`."""
        module = tf.Module()
        module.tables = [self._items, self._users, self._event_types]
        # only what the signatures read is saved, not the whole Keras model
        module.read = list({id(v): v for function in self.signatures.values() for v in function.variables}.values())
        tf.saved_model.save(module, str(path), signatures=self.signatures)

    @cached_property
    def signatures(self) -> dict[str, Any]:
        """The concrete functions by signature name."""
        exclude = tf.TensorSpec([None, None], tf.string, EXCLUDE_ITEM_ID)
        candidate = tf.TensorSpec([None, None], tf.string, CANDIDATE_ITEM_ID)
        return {
            # k of any rank: one number, or one per row for servers that join requests to batches
            SERVING_DEFAULT: _trace(self.recommend, *HISTORY, tf.TensorSpec(None, tf.int32, K), exclude),
            SCORE_SIGNATURE: _trace(self.probability, *HISTORY, candidate),
            USER_EMBEDDING: _trace(self.embed_user, *HISTORY),
            ITEM_EMBEDDING: _trace(self.embed_item, tf.TensorSpec([None], tf.string, ITEM_ID)),
        }

    def recommend(self, *request: Tensor) -> Outputs:
        """The best items of each row, best first.

        Args:
            request: the history, then `k` (a number, or `[batch]`) and `exclude_item_id` `[batch, n_excluded]`, where
                "" and unknown items exclude nothing.

        Returns:
            `item_id` and `score`, `[batch, min(max(k), items in the catalogue)]`. A row whose k is smaller, or that has
            fewer items left after exclusion, ends with the item "" and the score `NEVER`.
        """
        *history, k, exclude = request
        logits = self._model.ranking_logits(self._answer(*history))  # [batch, n_items]
        logits = _without(logits, self._items.lookup(exclude))
        k = tf.broadcast_to(tf.reshape(k, [-1]), tf.shape(logits)[:1])  # [batch]
        width = tf.clip_by_value(tf.reduce_max(k), 0, self._model.n_items - FIRST_KNOWN)
        score, index = tf.math.top_k(logits, width)
        found = (score > NEVER / 2) & (tf.range(width) < k[:, None])
        return {ITEM_ID: tf.where(found, tf.gather(self._item_ids, index), ""), SCORE: tf.where(found, score, NEVER)}

    def probability(self, *request: Tensor) -> Outputs:
        """Probability that the user takes each candidate next.

        Args:
            request: the history, then `candidate_item_id` `[batch, n_candidates]`.

        Returns:
            `probability` `[batch, n_candidates]`, 0 for candidates outside the catalogue and for "".
        """
        *history, candidate = request
        index = self._items.lookup(candidate)
        log_odds = self._model.candidate_log_odds(self._answer(*history), index)
        return {PROBABILITY: tf.where(index < FIRST_KNOWN, 0.0, tf.sigmoid(log_odds))}

    def embed_user(self, *history: Tensor) -> Outputs:
        """Query vectors, `embedding` `[batch, dim + 1]`."""
        query = self._answer(*history)["query"]
        return {EMBEDDING: tf.concat([query, tf.ones_like(query[:, :1])], axis=1)}

    def embed_item(self, item_id: Tensor) -> Outputs:
        """Vectors of the items `[n]`, `embedding` `[n, dim + 1]`."""
        index = self._items.lookup(item_id)
        bias = tf.gather(self._catalogue.biases[-1], index)[:, None]
        return {EMBEDDING: tf.concat([tf.gather(self._catalogue.vectors, index), bias], axis=1)}

    def _answer(
        self, user_id: Tensor, timestamp: Tensor, item_id: Tensor, event_type: Tensor, event_time: Tensor
    ) -> Outputs:
        """The model's outputs for raw requests."""
        shape = tf.shape(item_id)
        same = tf.reduce_all(shape == tf.shape(event_type)) & tf.reduce_all(shape == tf.shape(event_time))
        message = f"{HISTORY_ITEM_ID}, {HISTORY_EVENT_TYPE} and {HISTORY_TIMESTAMP} differ in shape"
        with tf.control_dependencies([tf.Assert(same, [message, shape])]):  # else another operation may fail first
            item_id = tf.identity(item_id)
        padded = item_id == ""
        recent = self._recent(padded, event_time)
        item = tf.where(padded, PADDING, self._items.lookup(item_id))
        inputs = {
            datasets.USER: self._users.lookup(user_id),
            datasets.TIME: timestamp,
            datasets.EVENT_ITEM: _at_least_one(tf.gather(item, recent, batch_dims=1)),
            datasets.EVENT_KIND: _at_least_one(tf.gather(self._event_types.lookup(event_type), recent, batch_dims=1)),
            datasets.EVENT_TIME: _at_least_one(tf.gather(event_time, recent, batch_dims=1)),
        }
        # read as a whole: rows gathered out of a variable make every other read of it a copy of the catalogue
        read = Catalogue(*(None if part is None else tf.convert_to_tensor(part) for part in self._catalogue))
        return self._model.answer(inputs, read)

    def _recent(self, padded: Tensor, event_time: Tensor) -> Tensor:
        """Columns of the most recent events, oldest first, then padding: `[batch, min(length, history_length)]`."""
        order = tf.argsort(tf.where(padded, tf.int64.max, event_time), axis=1, stable=True)
        length = tf.shape(padded)[1]
        width = tf.minimum(length, self._history_length)
        events = length - tf.reduce_sum(tf.cast(padded, tf.int32), axis=1, keepdims=True)  # [batch, 1]
        return tf.gather(order, tf.maximum(events - width, 0) + tf.range(width), batch_dims=1)


def _at_least_one(values: Tensor) -> Tensor:
    """Zero-length histories get one column of padding: sequence layers do not take empty ones."""
    return tf.pad(values, [[0, 0], [0, tf.maximum(1 - tf.shape(values)[1], 0)]])


def _without(logits: Tensor, index: Tensor) -> Tensor:
    """`NEVER` in the columns `index` `[batch, n]` of each row."""
    row = tf.broadcast_to(tf.range(tf.shape(index)[0])[:, None], tf.shape(index))
    cells = tf.stack([row, index], axis=-1)  # [batch, n, 2]
    return tf.tensor_scatter_nd_update(logits, cells, tf.fill(tf.shape(index), NEVER))


def _index(ids: Ids) -> tf.lookup.StaticHashTable:
    known = tf.constant(np.asarray(ids, np.str_)[FIRST_KNOWN:])
    index = tf.range(FIRST_KNOWN, len(ids), dtype=tf.int32)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(known, index), default_value=UNKNOWN)


def _trace(function: Callable[..., Outputs], *specs: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
