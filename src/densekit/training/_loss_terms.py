"""The losses that `compile` was given, one for each output they apply to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

from densekit import losses
from densekit._core import tree
from densekit._core.engine import LossTerm, OutputPart
from densekit._core.errors import describe, message
from densekit.data._columns import Column, Signature, output_keys
from densekit.losses import Loss
from densekit.training._loss_parts import part_losses, part_name

_BY_SHAPE = ("crossentropy", "ce")  # the losses that the shapes decide


def check_loss_weights(loss_weights: object) -> None:
    """What `compile` can tell about `loss_weights` before the outputs are known."""
    if loss_weights and not isinstance(loss_weights, list | tuple | dict | float):
        raise ValueError(
            message(
                "compile",
                "`loss_weights` as a float, or a list or dict of floats",
                describe(loss_weights),
                "Pass one weight per output.",
            )
        )
    for weight in tree.flatten(loss_weights):
        if isinstance(weight, str):
            raise TypeError(
                message(
                    "compile",
                    "`loss_weights` of numbers",
                    describe(weight),
                    "Metrics go as `metrics=[...]`, or come fourth.",
                )
            )


def check_losses(loss: object) -> None:
    """What `compile` can tell about losses before the outputs are known: that they exist."""
    for one in tree.flatten(loss):
        if one is not None and not (isinstance(one, str) and one.lower() in _BY_SHAPE):
            losses.get(one)


def resolve_terms(
    loss: object, loss_weights: object, signature: Signature, targets: list[Column]
) -> list[LossTerm]:
    """The losses in the order of the outputs, their names and weights decided."""
    parts = part_losses(loss, signature.output_structure)
    if parts is None:
        entries = [_listed(entry) for entry in _per_output(loss, signature, "loss")]
        weights = _weights(loss, loss_weights, entries, signature)
        return [
            _term(OutputPart((), i), identifier, weight, signature, targets)
            for i, pairs in enumerate(zip(entries, weights, strict=True))
            for identifier, weight in zip(*pairs, strict=True)
            if identifier is not None
        ]
    identifiers, given = tree.flatten(loss), tree.flatten(loss_weights)
    if loss_weights is None:
        given = [None] * len(identifiers)
    _check_count(given, len(identifiers))
    return [_term(part, identifiers[i], given[i], signature, targets) for part, i in parts]


def _term(
    part: OutputPart,
    identifier: object,
    weight: SupportsFloat | None,
    signature: Signature,
    targets: list[Column],
) -> LossTerm:
    together = tree.is_nested(part.numbers)
    outputs = tree.flatten(part.numbers)
    shapes = []
    for i in outputs:
        target = targets[i]
        if target is None:
            raise ValueError(
                message(
                    f"{signature.where} output {signature.output_names[i]!r}",
                    "targets for its loss",
                    "None",
                    "Pass `y`.",
                )
            )
        shapes.append(tuple(target.shape))
    resolved = _loss_for(identifier, shapes[0], signature.output_shapes[outputs[0]])
    factor = 1.0 if weight is None else float(weight)
    return LossTerm(
        outputs[0],
        resolved,
        factor,
        None if together else shapes[0][1:],
        part if together else None,
    )


def _listed(entry: object) -> list[Any]:
    """The losses of one output: a list of them in a dict, else one."""
    return list(entry) if isinstance(entry, list | tuple) else [entry]


def _weights(
    loss: object, loss_weights: object, entries: list[list[Any]], signature: Signature
) -> list[list[Any]]:
    """A weight for each loss of each output."""
    if loss_weights is None:
        return [[None] * len(entry) for entry in entries]
    given = tree.flatten(loss_weights)
    shared = not isinstance(loss, list | tuple | dict)  # one loss for all outputs
    if shared and len(given) == 1:
        return [given for _ in entries]
    count = len(entries) if shared else len(tree.flatten(loss))
    _check_count(given, count)
    if isinstance(loss_weights, dict):
        named = [_listed(weight) for weight in _per_output(loss_weights, signature, "loss_weights")]
        if [len(entry) for entry in named] == [len(entry) for entry in entries]:
            return named
    rest = iter(given)
    return [[next(rest, None) for _ in entry] for entry in entries]


def _check_count(weights: Sequence[object], count: int) -> None:
    if len(weights) != count:
        raise ValueError(
            message(
                "compile",
                f"`loss_weights` for each of {count} losses",
                f"{len(weights)} weights",
                "Pass `loss` and `loss_weights` in the same structure.",
            )
        )


def wants_target(loss: object, signature: Signature) -> list[bool]:
    """For each output whether it has a loss."""
    parts = part_losses(loss, signature.output_structure)
    if parts is not None:
        wanted = {i for part, _ in parts for i in tree.flatten(part.numbers)}
        return [i in wanted for i in range(len(signature.output_names))]
    entries = [_listed(entry) for entry in _per_output(loss, signature, "loss")]
    return [any(one is not None for one in entry) for entry in entries]


def _per_output(spec: object, signature: Signature, what: str) -> list[Any]:
    """What `spec` says for each output: one value for all, a list, or a dict by output name."""
    names = output_keys(signature)
    n = len(names)
    structure = signature.output_structure
    if tree.is_deep(structure) and tree.is_nested(spec):
        if isinstance(spec, list | tuple) and not tree.is_deep(spec) and len(spec) == n:
            return list(spec)
        found = tree.along(structure, spec)
        if found is not None:
            unknown = [one for one in found if isinstance(one, dict) and "class_name" not in one]
            if unknown and what == "loss":
                raise KeyError(
                    message(
                        f"{signature.where} `{what}`",
                        f"losses for the outputs {names}",
                        f"the keys {list(unknown[0])} for one of them",
                        "Nest losses as the outputs are.",
                    )
                )
            return found
    if isinstance(spec, dict):
        if set(spec) == set(signature.output_names):
            return [spec[name] for name in signature.output_names]
        partial = isinstance(signature.output_structure, dict) or what != "loss"
        if not set(spec) <= set(names) or not (partial or set(spec) == set(names)):
            kind = KeyError if isinstance(structure, dict) and what == "loss" else ValueError
            raise kind(
                message(
                    f"{signature.where} `{what}`",
                    f"the keys {names}",
                    f"{list(spec)}",
                    "Name every output; None leaves one without a loss.",
                )
            )
        return [spec.get(name) for name in names]
    if isinstance(spec, list | tuple):
        leaves = tree.flatten(spec)
        if len(spec) == n < len(leaves) and not any(isinstance(entry, dict) for entry in spec):
            return list(spec)  # several losses of an output
        if len(leaves) == 1 and isinstance(structure, dict):
            return leaves * n
        if len(leaves) < n and what == "loss" and not isinstance(structure, dict):
            return [*leaves, *[None] * (n - len(leaves))]  # those that are left have none
        if len(leaves) != n:
            raise ValueError(
                message(
                    f"{signature.where} `{what}`",
                    f"{n} entries, one for each of the outputs {names}",
                    f"{len(leaves)}",
                    "Use None for an output without a loss.",
                )
            )
        return leaves
    return [spec] * n


def _loss_for(identifier: object, target: Sequence[int], output: Sequence[int | None]) -> Loss:
    """A loss object; ``"crossentropy"`` is decided by the shapes."""
    if isinstance(identifier, str) and identifier.lower() in _BY_SHAPE:
        if tuple(output[-1:]) == (1,):
            identifier = "binary_crossentropy"
        elif len(target) < len(output) or target[-1] == 1:
            identifier = "sparse_categorical_crossentropy"
        else:
            identifier = "categorical_crossentropy"
    resolved = losses.as_loss(identifier)
    assert resolved is not None
    return resolved


def term_names(terms: Sequence[LossTerm], signature: Signature, named: bool) -> list[str]:
    """Keys of the single losses in the logs; only several losses have any.

    Args:
        named: whether the model knows its outputs by name; else a list of outputs is named by
            losses.
    """
    if len(terms) < 2:
        return []
    structure = signature.output_structure
    ways = tree.paths(structure) if tree.is_deep(structure) else None
    by_name = named or isinstance(structure, dict)

    def name_of(term: LossTerm) -> str:
        if term.part is not None:
            return part_name(term.part, signature)
        if ways is not None:
            leaf = signature.output_names[term.output] if named else term.loss.name
            return tree.path_name(ways[term.output], leaf)
        return output_keys(signature)[term.output] if by_name else str(term.loss.name)

    return [f"{name_of(term)}_loss" for term in terms]


def with_targets(terms: Sequence[LossTerm], targets: Sequence[Column]) -> list[LossTerm]:
    """The same losses for targets of these shapes; those that are not there stay as they were."""
    found = []
    for term in terms:
        target = targets[term.output] if targets else None
        if target is not None and term.part is None and term.target != target.shape[1:]:
            term = term._replace(target=tuple(target.shape[1:]))
        found.append(term)
    return found
