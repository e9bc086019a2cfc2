"""Reads a user's `train_step` statement by statement, on symbolic data, without running it.

Only what has no effect that nobody sees is understood; anything else raises `NotLowerable`, and the
step stays in Python. What calls mean is in `training/_step_calls.py`.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import TypeAlias

from densekit._core.plan import NotLowerable
from densekit.data._columns import unpack_x_y_sample_weight
from densekit.training._overrides import is_followed
from densekit.training._step_calls import StepCalls
from densekit.training._step_formulas import is_plain
from densekit.training._step_reads import Method, Property, Super
from densekit.training._step_source import definition_of
from densekit.training._step_state import Differentiated
from densekit.training._step_values import BatchLoss, Once, OpenTape

Names: TypeAlias = dict[str, object]
Formula: TypeAlias = Callable[..., object]

_BINARY: dict[type[ast.operator], Formula] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Formula] = {ast.USub: operator.neg}
_COMPARE: dict[type[ast.cmpop], Formula] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_IDENTITY: dict[type[ast.cmpop], Formula] = {ast.Is: operator.is_, ast.IsNot: operator.is_not}
_DEEPEST = 8  # calls of users' functions inside each other


class StepReader:
    """Follows functions of users.

    Args:
        calls: what calls mean.
    """

    def __init__(self, calls: StepCalls) -> None:
        self._calls = calls
        self._reads = calls.reads
        self._depth = 0

    def run(self, function: FunctionType, args: Sequence[object], kwargs: Names) -> object:
        """What a function returns.

        Raises:
            NotLowerable: where it does something that is not understood.
        """
        definition = definition_of(function)
        if definition is None:
            raise NotLowerable(f"the source of `{function.__name__}` is not there")
        if self._depth == _DEEPEST:
            raise NotLowerable("its functions call each other too deeply")
        self._reads.function(function)
        try:
            bound = inspect.signature(function, follow_wrapped=False).bind(*args, **kwargs)
        except TypeError as error:
            raise NotLowerable(str(error)) from None
        bound.apply_defaults()
        self._depth += 1
        try:
            return _Frame(self, function, dict(bound.arguments)).body(definition.body)
        finally:
            self._depth -= 1

    def call(self, callee: object, args: Sequence[object], kwargs: Names) -> object:
        """What a call gives."""
        if isinstance(callee, Differentiated):
            self._calls.open(OpenTape())
            result = self.call(callee.function, args, kwargs)
            self._calls.close()
            return self._calls.value_and_gradients(callee, result, args[0] if args else None)
        if isinstance(callee, Method) and self._calls.is_built_in_step(callee):
            return self.built_in_step(callee.owner, args, kwargs)
        function = callee.function if isinstance(callee, Method) else callee
        is_known = self._calls.is_ours(callee) and not is_followed(function)
        if is_known or not isinstance(callee, Method | FunctionType):
            return self._calls.call(callee, args, kwargs)
        if isinstance(callee, FunctionType):
            return self.run(callee, args, kwargs)
        return self.run(callee.function, [callee.owner, *args], kwargs)

    def built_in_step(self, model: object, args: Sequence[object], kwargs: Names) -> object:
        """What the package's own `train_step` returns for some data."""
        if kwargs or len(args) != 1:
            raise NotLowerable("it hands a state to the built-in step")
        calls = self._calls
        x, y, sample_weight = unpack_x_y_sample_weight(args[0])
        tape = OpenTape()
        calls.open(tape)
        y_pred = self.call(model, [x], {"training": True})
        compute_loss = calls.attribute(model, "compute_loss")
        given: Names = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
        loss = self.call(compute_loss, [], given)
        calls.close()
        return calls.ends_built_in_step(tape, loss, given)


class _Frame:
    """The names of one function, as its statements are followed."""

    def __init__(self, reader: StepReader, function: FunctionType, names: Names) -> None:
        self._reader = reader
        self._function = function
        self._names = names
        self._calls, self._reads = reader._calls, reader._reads
        self._result: object = None
        self._returned = False

    def body(self, statements: Sequence[ast.stmt]) -> object:
        """What the statements return."""
        for statement in statements:
            self._statement(statement)
            if self._returned:
                break
        return self._result

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr():
                self._value(node.value)
            case ast.Assign(targets=targets):
                value = self._value(node.value)
                for target in targets:
                    self._bind(target, value)
            case ast.AnnAssign(value=ast.expr() as given):
                self._bind(node.target, self._value(given))
            case ast.AugAssign(target=ast.Name(id=name)) if type(node.op) in _BINARY:
                before = self._names.get(name)
                if isinstance(before, list) and self._calls.is_made(before):
                    before.extend(self._calls.items(self._value(node.value)))
                    return
                formula, by = _BINARY[type(node.op)], self._value(node.value)
                if is_plain(before) or isinstance(before, BatchLoss):
                    self._names[name] = self._calls.operate(formula, before, by)
                else:
                    self._names[name] = self._calls.change(before, formula, by)
            case ast.Return():
                self._result = None if node.value is None else self._value(node.value)
                self._returned = True
            case ast.With(items=items):
                for item in items:
                    tape = self._value(item.context_expr)
                    if not isinstance(tape, OpenTape):
                        raise NotLowerable("it enters something that is no tape")
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, tape)
                    self._calls.open(tape)
                self.body(node.body)
                for _ in items:
                    self._calls.close()
            case ast.If():
                self.body(node.body if self._truth(node.test) else node.orelse)
            case ast.For(orelse=[]):
                for one in self._calls.items(self._value(node.iter)):
                    self._bind(node.target, one)
                    self.body(node.body)
                    if self._returned:
                        return
            case ast.Pass():
                pass
            case ast.Assert():
                if not self._truth(node.test):
                    raise NotLowerable(f"it asserts `{ast.unparse(node.test)}`, which is not so")
            case _:
                raise NotLowerable(f"it has `{ast.unparse(node).partition(chr(10))[0]}`")

    def _bind(self, target: ast.expr, value: object) -> None:
        if isinstance(target, ast.Name):
            self._names[target.id] = value
            return
        if isinstance(target, ast.Tuple | ast.List):
            items = list(self._calls.items(value))
            if len(items) == len(target.elts):
                for one, item in zip(target.elts, items, strict=True):
                    self._bind(one, item)
                return
        if isinstance(target, ast.Subscript):
            within = self._value(target.value)
            if isinstance(within, dict) and self._calls.is_made(within):
                within[self._index(target.slice)] = value
                return
        what = f"`{ast.unparse(target)}`"
        raise NotLowerable(f"it sets {what}, which is no name of its own")

    def _truth(self, node: ast.expr) -> bool:
        return self._truth_of(self._value(node), node)

    def _truth_of(self, value: object, node: ast.expr) -> bool:
        if is_plain(value) or self._calls.is_made(value):
            return bool(value)
        raise NotLowerable(f"it asks whether `{ast.unparse(node)}`")

    def _value(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._named(name)
            case ast.Attribute(attr=name):
                found = self._calls.attribute(self._value(node.value), name)
                if isinstance(found, Property):
                    return self._reader.run(found.function, [found.owner], {})
                return found
            case ast.Call():
                return self._call(node)
            case ast.BinOp() if type(node.op) in _BINARY:
                left, right = self._value(node.left), self._value(node.right)
                return self._calls.operate(_BINARY[type(node.op)], left, right)
            case ast.UnaryOp(op=ast.Not()):
                return not self._truth(node.operand)
            case ast.UnaryOp() if type(node.op) in _UNARY:
                return self._calls.operate(_UNARY[type(node.op)], self._value(node.operand))
            case ast.Compare(ops=[op], comparators=[other]):
                left, right = self._value(node.left), self._value(other)
                if type(op) in _IDENTITY:
                    return _IDENTITY[type(op)](left, right)
                if type(op) in _COMPARE:
                    return self._calls.operate(_COMPARE[type(op)], left, right)
            case ast.BoolOp(op=op, values=[*parts, last]):
                for part in parts:
                    known = self._value(part)
                    if self._truth_of(known, part) is isinstance(op, ast.Or):
                        return known
                return self._value(last)
            case ast.IfExp():
                return self._value(node.body if self._truth(node.test) else node.orelse)
            case ast.Tuple():
                return tuple(map(self._value, node.elts))
            case ast.List():
                return self._calls.made(list(map(self._value, node.elts)))
            case ast.Dict():
                made: dict[object, object] = {}
                for key, item in zip(node.keys, node.values, strict=True):
                    found = self._value(item)
                    if key is not None:
                        made[self._value(key)] = found
                    elif isinstance(found, dict) and self._calls.is_made(found):
                        made |= found
                    else:
                        raise NotLowerable("it spreads a dict that may be another one")
                return self._calls.made(made)
            case ast.Subscript():
                return self._calls.item(self._value(node.value), self._index(node.slice))
            case ast.GeneratorExp():
                if not _may_wait(node):
                    raise NotLowerable("it has a generator, which computes only when it is used")
                return Once(frame._value(node.elt) for frame in self._each(node))
            case ast.ListComp():
                return self._calls.made([frame._value(node.elt) for frame in self._each(node)])
            case ast.DictComp():
                pairs = ((f._value(node.key), f._value(node.value)) for f in self._each(node))
                return self._calls.made(dict(pairs))
        raise NotLowerable(f"it has `{ast.unparse(node)}`")

    def _each(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Iterator[_Frame]:
        """The names inside of a comprehension, for each item."""
        (loop, *more) = node.generators
        if more or loop.is_async:
            raise NotLowerable("it has a comprehension of several loops")
        for item in self._calls.items(self._value(loop.iter)):
            inside = _Frame(self._reader, self._function, dict(self._names))
            inside._bind(loop.target, item)
            if all([inside._truth(test) for test in loop.ifs]):
                yield inside

    def _named(self, name: str) -> object:
        if name in self._names:
            return self._names[name]
        code = self._function.__code__
        if name in code.co_varnames or name in code.co_cellvars:
            raise NotLowerable(f"`{name}` has no value yet")
        if name in code.co_freevars:
            return self._reads.free(self._function, name)
        return self._reads.name(self._function, name)

    def _super(self, args: Sequence[object]) -> Super:
        """What ``super()`` gives inside of a method."""
        if not args and "__class__" in self._function.__code__.co_freevars:
            kind = self._reads.free(self._function, "__class__")
            args = kind, self._names.get(self._function.__code__.co_varnames[0])
        if len(args) != 2 or not isinstance(args[0], type):
            raise NotLowerable("it calls `super` outside of a method")
        return Super(args[0], args[1])

    def _index(self, node: ast.expr) -> object:
        if isinstance(node, ast.Tuple):
            return tuple(map(self._index, node.elts))
        if isinstance(node, ast.Slice):
            bounds = (node.lower, node.upper, node.step)
            return slice(*[None if bound is None else self._value(bound) for bound in bounds])
        return self._value(node)

    def _call(self, node: ast.Call) -> object:
        callee = self._value(node.func)
        if callee is super:
            return self._super([self._value(arg) for arg in node.args])
        if any(isinstance(arg, ast.Starred) for arg in node.args):
            raise NotLowerable("it spreads arguments")
        args = list(map(self._value, node.args))
        kwargs: Names = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise NotLowerable("it spreads arguments")
            kwargs[keyword.arg] = self._value(keyword.value)
        return self._reader.call(callee, args, kwargs)


def _may_wait(node: ast.GeneratorExp) -> bool:
    """Whether a generator only hands on what it goes through: then it does not matter when."""
    (loop, *_) = node.generators
    own = {name.id for name in ast.walk(loop.target) if isinstance(name, ast.Name)}
    parts = [part for top in (node.elt, *loop.ifs) for part in ast.walk(top)]
    return all(
        part.id in own if isinstance(part, ast.Name) else isinstance(part, _HANDS_ON)
        for part in parts
    )


_HANDS_ON = (ast.Tuple, ast.Constant, ast.Compare, ast.Is, ast.IsNot, ast.Load)
