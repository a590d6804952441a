"""Who or what a campaign is about: one line over the columns of a table, e.g. `recency_days > 60 and frequency >= 3`.

The line is parsed by Python's own grammar and translated, part by part, to a Polars expression; nothing of it is
executed. What there is: columns, numbers, texts, true and false; `and or not`; `== != < <= > >=`; `in [...]`, `not in`;
`+ - * /`; `top(column, share)` and `bottom(column, share)` for the highest and lowest share of all rows;
`known(column)` for where a value is there. Where a value is missing, a comparison with it does not hold.
"""

import ast
import difflib
from collections.abc import Callable, Iterable

import polars as pl
from polars.exceptions import PolarsError

from data_pipelines.schema import SEGMENT, InputError

LONGEST, DEEPEST = 2_000, 100
"""Characters, and parts within parts: far more than anybody writes, far less than would overflow a stack."""
NAMED = (SEGMENT,)
"""Columns whose values are names that people give: one that does not occur is a mistake, not an empty audience."""
CONSTANTS = {"true": True, "false": False}
COMPARE: dict[type[ast.cmpop], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
}
CALCULATE: dict[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / pl.when(right != 0).then(right),  # nothing is known of x / 0
}


def matches(expression: str, table: pl.DataFrame, where: str) -> pl.Series:
    """The rows of a table that an expression holds for.

    Args:
        expression: the line; "" holds for all.
        table: of customers or products.
        where: what messages call the place it stands in.

    Returns:
        `[rows]`, without nulls.

    Raises:
        InputError: naming the part that is not understood, the column that is not there, or the segment that nobody is
            in.
    """
    if not expression.strip():
        return pl.Series([True]).new_from_index(0, table.height)
    node = _parse(expression, where)
    try:
        found = table.select(_Translation(expression, table, where).expression(node).alias("found"))["found"]
    except (PolarsError, TypeError, OverflowError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{where}: {expression!r} compares what does not go together ({reason})") from None
    if found.dtype != pl.Boolean:
        raise InputError(f"{where}: {expression!r} is not a condition; compare something, e.g. `frequency > 3`")
    found = found.fill_null(False)
    return found.new_from_index(0, table.height) if len(found) != table.height else found  # of constants alone


def row_condition(expression: str, table: pl.DataFrame, where: str) -> pl.Expr:
    """What `matches` finds, for rows that come one at a time.

    Args:
        expression: the line; "" holds for all.
        table: where `top` and `bottom` begin is measured here, once.
        where: what messages call the place it stands in.

    Returns:
        An expression over the columns of the table, without nulls.

    Raises:
        InputError: as `matches`.
    """
    matches(expression, table, where)  # refuses what cannot be
    if not expression.strip():
        return pl.lit(True)
    return _Translation(expression, table, where, by_row=True).expression(_parse(expression, where)).fill_null(False)


def columns(expression: str, where: str) -> set[str]:
    """The columns that a line names.

    Args:
        expression: the line; "" names none.
        where: what messages call the place it stands in.

    Raises:
        InputError: if it is not understood.
    """
    if not expression.strip():
        return set()
    return {node.id for node in ast.walk(_parse(expression, where)) if isinstance(node, ast.Name)}


def _parse(expression: str, where: str) -> ast.expr:
    if len(expression) > LONGEST:
        raise InputError(f"{where}: is longer than {LONGEST:,} characters")
    try:
        node = ast.parse(expression.strip(), mode="eval").body
        deep = _depth(node) > DEEPEST
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = getattr(error, "msg", str(error))
        raise InputError(f"{where}: {expression!r} is not understood: {said}") from None
    if deep:
        raise InputError(f"{where}: has more than {DEEPEST} parts within parts; write less of them")
    return node


def _depth(node: ast.AST) -> int:
    return 1 + max(map(_depth, ast.iter_child_nodes(node)), default=0)


class _Translation:
    """One expression over one table, or over single rows like those of the table."""

    def __init__(self, whole: str, table: pl.DataFrame, where: str, *, by_row: bool = False):
        self.whole, self.table, self.where, self.by_row = whole, table, where, by_row

    def expression(self, node: ast.expr) -> pl.Expr:
        """A part, as Polars says it."""
        match node:
            case ast.BoolOp(op, values):
                method = pl.all_horizontal if isinstance(op, ast.And) else pl.any_horizontal
                return method([self.expression(value).fill_null(False) for value in values])
            case ast.UnaryOp(ast.Not(), operand):
                return ~self.expression(operand).fill_null(False)
            case ast.UnaryOp(ast.USub(), operand):
                return -self.expression(operand)
            case ast.Compare(left, ops, comparators):
                sides = [left, *comparators]
                return pl.all_horizontal(
                    [self._comparison(*part) for part in zip(sides, ops, comparators, strict=False)]
                )
            case ast.BinOp(left, op, right) if type(op) in CALCULATE:
                return CALCULATE[type(op)](self.expression(left), self.expression(right))
            case ast.Name(name):
                return pl.lit(CONSTANTS[name.lower()]) if name.lower() in CONSTANTS else self._column(name)
            case ast.Constant(bool() | int() | float() | str() as value):
                return pl.lit(value)
            case ast.Call(ast.Name("top" | "bottom" as name), [ast.Name(column), share], []):
                return self._share(column, self._number(share), highest=name == "top")
            case ast.Call(ast.Name("known"), [ast.Name(column)], []):
                return self._column(column).is_not_null()
        raise self._not_understood(node)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple):
                raise self._not_understood(right, "a list in brackets must follow `in`")
            values = [self._constant(part) for part in right.elts]
            self._require_named(left, values)
            inside = self.expression(left).is_in(values)
            return inside if isinstance(op, ast.In) else ~inside
        if type(op) not in COMPARE:
            raise self._not_understood(right)
        for name, value in ((left, right), (right, left)):
            if isinstance(value, ast.Constant):
                self._require_named(name, [value.value])
        return COMPARE[type(op)](self.expression(left), self.expression(right))

    def _share(self, column: str, share: float, *, highest: bool) -> pl.Expr:
        if not 0 <= share <= 1:
            raise InputError(f"{self.where}: {share:g} is not a share; write e.g. top({column}, 0.2)")
        values = self._column(column)
        rank = values.rank("min", descending=highest)  # equal values are in or out together
        inside = rank <= share * values.count() + 1e-9  # 0.29 × 100 is 28.999999999999996
        if not self.by_row:
            return inside
        found = self.table.filter(inside)[column]
        edge = found.min() if highest else found.max()
        return pl.lit(False) if edge is None else values >= edge if highest else values <= edge

    def _column(self, name: str) -> pl.Expr:
        if name not in self.table.columns:
            segments = self.table.get_column(SEGMENT, default=None)
            without = " without --profiles" if segments is not None and segments.null_count() == len(segments) else ""
            raise InputError(
                f"{self.where}: no column {name!r}{without} in {self.whole!r}{suggestion(name, self.table.columns)}; "
                f"there are {', '.join(self.table.columns)}"
            )
        column = pl.col(name)
        return column.fill_nan(None) if self.table[name].dtype.is_float() else column

    def _require_named(self, left: ast.expr, values: list[object]) -> None:
        if not (isinstance(left, ast.Name) and left.id in NAMED and left.id in self.table.columns):
            return
        names = self.table[left.id].drop_nulls().unique().sort().to_list()
        for value in values:
            if value not in names:
                there = f"there are {', '.join(map(repr, names))}" if names else "give --profiles, which hold segments"
                raise InputError(
                    f"{self.where}: no {left.id} {value!r}{suggestion(str(value), map(str, names))}; {there}"
                )

    def _constant(self, node: ast.expr) -> object:
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self._number(node.operand)
        raise self._not_understood(node, "lists hold numbers and texts")

    def _number(self, node: ast.expr) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return node.value
        raise self._not_understood(node, "a number is needed")

    def _not_understood(self, node: ast.AST, remedy: str = "") -> InputError:
        part = ast.unparse(node)
        remedy = remedy or "write comparisons of columns, joined by and, or, not"
        return InputError(f"{self.where}: {part!r} in {self.whole!r} is not understood; {remedy}")


def suggestion(name: str, among: Iterable[str]) -> str:
    """`; did you mean 'x'?` if something is close, else nothing."""
    names = list(among)
    begun = [one for one in names if name and one.startswith(name)]
    close = begun or difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
