"""Names that are not here: why Keras' own are missing, and which name may have been meant.

Each reason has a pattern of Keras' names. What is listed and comes to exist is found before this
table is asked.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

_CONVOLUTIONS = "convolutions and pooling are no part of a dense network"
_SEQUENCES = "recurrence is no part of a dense network"
_ATTENTION = "attention is no part of a dense network"
_IMAGES = "image and video processing is no part of a dense network"
_SIGNALS = "audio and signal processing is no part of a dense network"
_TEXT = "text processing is no part of a dense network"
_ALIGNMENT = "losses of sequences are no part of a dense network"
_FRAMEWORKS = "no other framework runs beneath"
_LANGUAGE = "it calibrates language models on text, and is no part of a dense network"
_FLOAT8 = "float8 is for GPUs that compute in it"
_KERAS_2 = "it is of Keras 2"

_OPS = [
    (_CONVOLUTIONS, r"(depthwise_|separable_)?conv(_transpose)?|(un)?fold"),
    (_CONVOLUTIONS, r"(adaptive_)?(average|max)_pool"),
    (_SIGNALS, r"i?r?fft2?|ifft2|i?stft"),
    (_ATTENTION, r"dot_product_attention"),
    (_ALIGNMENT, r"ctc_\w+"),
]
# By room: a reason for each pattern that a whole name of Keras matches, the first that fits.
_REASONS: dict[str, list[tuple[str, str]]] = {
    "layers": [
        (_SEQUENCES, r"ConvLSTM\dD|(CuDNN)?(LSTM|GRU)(Cell)?|(Simple)?RNN(Cell)?|StackedRNNCells"),
        (_SEQUENCES, r"Bidirectional"),
        (_CONVOLUTIONS, r"(Depthwise|Separable)?Conv(olution)?\dD(Transpose)?"),
        (
            _CONVOLUTIONS,
            r"(Adaptive)?(Average|Avg|Max)Pool(ing)?\dD|Global(Average|Avg|Max)Pool(ing)?[23]D",
        ),
        (_CONVOLUTIONS, r"(Cropping|UpSampling|ZeroPadding|LocallyConnected)\dD"),
        (_ATTENTION, r"(Additive|MultiHead|GroupQuery)?Attention"),
        (_SIGNALS, r"MelSpectrogram|STFTSpectrogram"),
        (_IMAGES, r"Rand(om[A-Z]\w+|Augment)|AugMix|AutoContrast|CenterCrop|CutMix|Equalization"),
        (_IMAGES, r"MaxNumBoundingBoxes|MixUp|Resizing|Solarization|ContrastLimited\w+"),
        (_FRAMEWORKS, r"(Flax|Jax|TFSM)Layer|TorchModuleWrapper"),
    ],
    "losses": [(_ALIGNMENT, r"(?i:ctc)")],
    "initializers": [(_SIGNALS, r"(?i:stft)(Initializer)?")],
    "optimizers": [
        (_KERAS_2, r"legacy"),
    ],
    "dtype_policies": [
        (_LANGUAGE, r"(AWQ|GPTQ)DTypePolicy"),
        (_FLOAT8, r"QuantizedFloat8DTypePolicy"),
    ],
    "quantizers": [(_LANGUAGE, r"(AWQ|GPTQ)Config"), (_FLOAT8, r"Float8QuantizationConfig")],
    "export": [(_FRAMEWORKS, r"ExportArchive")],
    "backend": [(_IMAGES, r"set_image_data_format")],
    "config": [
        (_ATTENTION, r"\w*flash_attention\w*"),
    ],
    "utils": [
        (_IMAGES, r"array_to_img|img_to_array|(load|save)_img|image_\w+|bounding_boxes"),
        (_SIGNALS, r"audio_\w+"),
        (_TEXT, r"text_\w+"),
        (f"{_KERAS_2}; `utils.PyDataset` is its heir", r"legacy"),
    ],
    "preprocessing": [(_IMAGES, r"image\w*"), (_TEXT, r"text\w*")],
    "ops": [
        (_IMAGES, r"image"),
        *_OPS,
    ],
    "ops.nn": _OPS,
    "": [
        ("its networks are convolutions, no part of a dense network", r"applications"),
        (_IMAGES, r"visualization"),
        (_KERAS_2, r"legacy"),
        ("Keras' sources are not here", r"src"),
    ],
}

_CLOSE = 0.6  # of 1: what `difflib` itself takes for close

# What Keras called an argument before version 3, and scripts still do.
_RENAMED = {
    "lr": "learning_rate",
    "output_dim": "units",
    "init": "kernel_initializer",
    "weights_initializer": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "kernel_init": "kernel_initializer",
    "bias": "use_bias",
    "p": "rate",
    "nb_epoch": "epochs",
}


def reason(module: str, name: str) -> str:
    """Why a public name of Keras is not in a room, or ``""``."""
    room = module.partition(".")[2]
    for why, pattern in _REASONS.get(room, []):
        if re.fullmatch(pattern, name):
            return why
    return ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    candidates = sorted(known)
    if _RENAMED.get(name) in candidates:
        return _RENAMED[name]
    scores = [
        (_alike(name.lower(), known.lower()), _alike(name, known), known) for known in candidates
    ]
    best = max(scores, default=(0.0, 0.0, ""))
    return best[2] if best[0] >= _CLOSE else None


def _alike(a: str, b: str) -> float:
    import difflib  # slow to load, and a mistake alone needs it

    return difflib.SequenceMatcher(None, a, b).ratio()


def hint(module: str, name: str, known: Iterable[str]) -> str:
    """A sentence about a name that is not among those `known`, or ``""``."""
    why = reason(module, name)
    if why:
        return f"{why[0].upper()}{why[1:]}: see docs/differences-from-keras.md."
    meant = nearest(name, known)
    return f"Did you mean {meant!r}?" if meant else ""


def advice_on_arguments(owner: type, given: Iterable[str]) -> str:
    """For each argument that a constructor does not know the nearest that it knows."""
    known = {
        name
        for base in owner.__mro__
        if "__init__" in vars(base) and base is not object
        for name in inspect.signature(vars(base)["__init__"]).parameters
    } - {"self", "args", "kwargs", "options"}
    meant = [(name, nearest(name, known)) for name in given]
    found = [f"{right!r} for {name!r}" for name, right in meant if right]
    return f"Did you mean {', '.join(found)}?" if found else "Remove the unknown keywords."
