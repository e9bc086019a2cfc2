"""The vocabulary formulas are written in: ops on NumPy, JAX, autograd and symbols.

Longer than other files, as each op has a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.ops import linalg as linalg
    from densekit.ops import nn as nn
    from densekit.ops import numpy as numpy
    from densekit.ops._activations import celu as celu
    from densekit.ops._activations import elu as elu
    from densekit.ops._activations import gelu as gelu
    from densekit.ops._activations import hard_shrink as hard_shrink
    from densekit.ops._activations import hard_sigmoid as hard_sigmoid
    from densekit.ops._activations import hard_silu as hard_silu
    from densekit.ops._activations import hard_swish as hard_swish
    from densekit.ops._activations import hard_tanh as hard_tanh
    from densekit.ops._activations import leaky_relu as leaky_relu
    from densekit.ops._activations import log_sigmoid as log_sigmoid
    from densekit.ops._activations import mish as mish
    from densekit.ops._activations import relu as relu
    from densekit.ops._activations import relu6 as relu6
    from densekit.ops._activations import selu as selu
    from densekit.ops._activations import sigmoid as sigmoid
    from densekit.ops._activations import silu as silu
    from densekit.ops._activations import soft_shrink as soft_shrink
    from densekit.ops._activations import softplus as softplus
    from densekit.ops._activations import softsign as softsign
    from densekit.ops._activations import sparse_plus as sparse_plus
    from densekit.ops._activations import sparse_sigmoid as sparse_sigmoid
    from densekit.ops._activations import squareplus as squareplus
    from densekit.ops._activations import swish as swish
    from densekit.ops._activations import tanh_shrink as tanh_shrink
    from densekit.ops._activations import threshold as threshold
    from densekit.ops._arithmetic import abs as abs
    from densekit.ops._arithmetic import absolute as absolute
    from densekit.ops._arithmetic import add as add
    from densekit.ops._arithmetic import ceil as ceil
    from densekit.ops._arithmetic import clip as clip
    from densekit.ops._arithmetic import divide as divide
    from densekit.ops._arithmetic import divide_no_nan as divide_no_nan
    from densekit.ops._arithmetic import floor as floor
    from densekit.ops._arithmetic import floor_divide as floor_divide
    from densekit.ops._arithmetic import maximum as maximum
    from densekit.ops._arithmetic import minimum as minimum
    from densekit.ops._arithmetic import mod as mod
    from densekit.ops._arithmetic import multiply as multiply
    from densekit.ops._arithmetic import nan_to_num as nan_to_num
    from densekit.ops._arithmetic import negative as negative
    from densekit.ops._arithmetic import power as power
    from densekit.ops._arithmetic import reciprocal as reciprocal
    from densekit.ops._arithmetic import round as round
    from densekit.ops._arithmetic import rsqrt as rsqrt
    from densekit.ops._arithmetic import sign as sign
    from densekit.ops._arithmetic import sqrt as sqrt
    from densekit.ops._arithmetic import square as square
    from densekit.ops._arithmetic import subtract as subtract
    from densekit.ops._arithmetic import true_divide as true_divide
    from densekit.ops._arithmetic import trunc as trunc
    from densekit.ops._axis_formulas import glu as glu
    from densekit.ops._axis_formulas import log_softmax as log_softmax
    from densekit.ops._axis_formulas import logsumexp as logsumexp
    from densekit.ops._axis_formulas import moments as moments
    from densekit.ops._axis_formulas import normalize as normalize
    from densekit.ops._axis_formulas import softmax as softmax
    from densekit.ops._axis_formulas import sparsemax as sparsemax
    from densekit.ops._bitwise import bitwise_and as bitwise_and
    from densekit.ops._bitwise import bitwise_invert as bitwise_invert
    from densekit.ops._bitwise import bitwise_left_shift as bitwise_left_shift
    from densekit.ops._bitwise import bitwise_not as bitwise_not
    from densekit.ops._bitwise import bitwise_or as bitwise_or
    from densekit.ops._bitwise import bitwise_right_shift as bitwise_right_shift
    from densekit.ops._bitwise import bitwise_xor as bitwise_xor
    from densekit.ops._bitwise import gcd as gcd
    from densekit.ops._bitwise import lcm as lcm
    from densekit.ops._bitwise import left_shift as left_shift
    from densekit.ops._bitwise import right_shift as right_shift
    from densekit.ops._comparisons import allclose as allclose
    from densekit.ops._comparisons import equal as equal
    from densekit.ops._comparisons import greater as greater
    from densekit.ops._comparisons import greater_equal as greater_equal
    from densekit.ops._comparisons import isclose as isclose
    from densekit.ops._comparisons import isfinite as isfinite
    from densekit.ops._comparisons import isinf as isinf
    from densekit.ops._comparisons import isnan as isnan
    from densekit.ops._comparisons import less as less
    from densekit.ops._comparisons import less_equal as less_equal
    from densekit.ops._comparisons import logical_and as logical_and
    from densekit.ops._comparisons import logical_not as logical_not
    from densekit.ops._comparisons import logical_or as logical_or
    from densekit.ops._comparisons import logical_xor as logical_xor
    from densekit.ops._comparisons import nonzero as nonzero
    from densekit.ops._comparisons import not_equal as not_equal
    from densekit.ops._comparisons import where as where
    from densekit.ops._complex import angle as angle
    from densekit.ops._complex import conj as conj
    from densekit.ops._complex import conjugate as conjugate
    from densekit.ops._complex import imag as imag
    from densekit.ops._complex import isreal as isreal
    from densekit.ops._complex import polar as polar
    from densekit.ops._complex import real as real
    from densekit.ops._complex import view_as_complex as view_as_complex
    from densekit.ops._complex import view_as_real as view_as_real
    from densekit.ops._control_flow import associative_scan as associative_scan
    from densekit.ops._control_flow import switch as switch
    from densekit.ops._control_flow import vectorize as vectorize
    from densekit.ops._core_ops import array as array
    from densekit.ops._core_ops import cast as cast
    from densekit.ops._core_ops import convert_to_numpy as convert_to_numpy
    from densekit.ops._core_ops import convert_to_tensor as convert_to_tensor
    from densekit.ops._core_ops import copy as copy
    from densekit.ops._core_ops import dtype as dtype
    from densekit.ops._core_ops import is_tensor as is_tensor
    from densekit.ops._core_ops import ndim as ndim
    from densekit.ops._core_ops import saturate_cast as saturate_cast
    from densekit.ops._core_ops import shape as shape
    from densekit.ops._core_ops import size as size
    from densekit.ops._core_ops import stop_gradient as stop_gradient
    from densekit.ops._custom_gradient import custom_gradient as custom_gradient
    from densekit.ops._custom_gradient import jvp as jvp
    from densekit.ops._decompositions import cholesky_inverse as cholesky_inverse
    from densekit.ops._decompositions import eig as eig
    from densekit.ops._decompositions import eigh as eigh
    from densekit.ops._decompositions import logdet as logdet
    from densekit.ops._decompositions import lstsq as lstsq
    from densekit.ops._decompositions import lu_factor as lu_factor
    from densekit.ops._decompositions import matrix_rank as matrix_rank
    from densekit.ops._decompositions import pinv as pinv
    from densekit.ops._decompositions import slogdet as slogdet
    from densekit.ops._decompositions import solve_triangular as solve_triangular
    from densekit.ops._elementary import cbrt as cbrt
    from densekit.ops._elementary import fabs as fabs
    from densekit.ops._elementary import fmax as fmax
    from densekit.ops._elementary import fmin as fmin
    from densekit.ops._elementary import fmod as fmod
    from densekit.ops._elementary import heaviside as heaviside
    from densekit.ops._elementary import hypot as hypot
    from densekit.ops._elementary import isneginf as isneginf
    from densekit.ops._elementary import isposinf as isposinf
    from densekit.ops._elementary import ldexp as ldexp
    from densekit.ops._elementary import logaddexp2 as logaddexp2
    from densekit.ops._elementary import nextafter as nextafter
    from densekit.ops._elementary import signbit as signbit
    from densekit.ops._elementary import sinc as sinc
    from densekit.ops._exponentials import exp as exp
    from densekit.ops._exponentials import exp2 as exp2
    from densekit.ops._exponentials import expm1 as expm1
    from densekit.ops._exponentials import log as log
    from densekit.ops._exponentials import log1p as log1p
    from densekit.ops._exponentials import log2 as log2
    from densekit.ops._exponentials import log10 as log10
    from densekit.ops._exponentials import logaddexp as logaddexp
    from densekit.ops._filled import arange as arange
    from densekit.ops._filled import empty as empty
    from densekit.ops._filled import empty_like as empty_like
    from densekit.ops._filled import eye as eye
    from densekit.ops._filled import full as full
    from densekit.ops._filled import full_like as full_like
    from densekit.ops._filled import identity as identity
    from densekit.ops._filled import linspace as linspace
    from densekit.ops._filled import ones as ones
    from densekit.ops._filled import ones_like as ones_like
    from densekit.ops._filled import tri as tri
    from densekit.ops._filled import zeros as zeros
    from densekit.ops._filled import zeros_like as zeros_like
    from densekit.ops._gradient import value_and_vjp as value_and_vjp
    from densekit.ops._indexing import argsort as argsort
    from densekit.ops._indexing import get_item as get_item
    from densekit.ops._indexing import in_top_k as in_top_k
    from densekit.ops._indexing import scatter as scatter
    from densekit.ops._indexing import scatter_update as scatter_update
    from densekit.ops._indexing import slice as slice
    from densekit.ops._indexing import slice_update as slice_update
    from densekit.ops._indexing import sort as sort
    from densekit.ops._indexing import take as take
    from densekit.ops._indexing import take_along_axis as take_along_axis
    from densekit.ops._indexing import top_k as top_k
    from densekit.ops._joining import append as append
    from densekit.ops._joining import array_split as array_split
    from densekit.ops._joining import concatenate as concatenate
    from densekit.ops._joining import dsplit as dsplit
    from densekit.ops._joining import dstack as dstack
    from densekit.ops._joining import hsplit as hsplit
    from densekit.ops._joining import hstack as hstack
    from densekit.ops._joining import split as split
    from densekit.ops._joining import stack as stack
    from densekit.ops._joining import unstack as unstack
    from densekit.ops._joining import vsplit as vsplit
    from densekit.ops._joining import vstack as vstack
    from densekit.ops._keras_tensor import KerasTensor as KerasTensor
    from densekit.ops._keras_tensor import any_symbolic as any_symbolic
    from densekit.ops._linear_algebra import cholesky as cholesky
    from densekit.ops._linear_algebra import det as det
    from densekit.ops._linear_algebra import dot as dot
    from densekit.ops._linear_algebra import einsum as einsum
    from densekit.ops._linear_algebra import inner as inner
    from densekit.ops._linear_algebra import inv as inv
    from densekit.ops._linear_algebra import matmul as matmul
    from densekit.ops._linear_algebra import norm as norm
    from densekit.ops._linear_algebra import outer as outer
    from densekit.ops._linear_algebra import qr as qr
    from densekit.ops._linear_algebra import solve as solve
    from densekit.ops._linear_algebra import svd as svd
    from densekit.ops._linear_algebra import tensordot as tensordot
    from densekit.ops._linear_algebra import trace as trace
    from densekit.ops._linear_algebra import vdot as vdot
    from densekit.ops._loops import cond as cond
    from densekit.ops._loops import fori_loop as fori_loop
    from densekit.ops._loops import map as map
    from densekit.ops._loops import scan as scan
    from densekit.ops._loops import vectorized_map as vectorized_map
    from densekit.ops._loops import while_loop as while_loop
    from densekit.ops._losses import binary_crossentropy as binary_crossentropy
    from densekit.ops._losses import categorical_crossentropy as categorical_crossentropy
    from densekit.ops._losses import multi_hot as multi_hot
    from densekit.ops._losses import one_hot as one_hot
    from densekit.ops._losses import (
        sparse_categorical_crossentropy as sparse_categorical_crossentropy,
    )
    from densekit.ops._nan_reductions import nanargmax as nanargmax
    from densekit.ops._nan_reductions import nanargmin as nanargmin
    from densekit.ops._nan_reductions import nancumprod as nancumprod
    from densekit.ops._nan_reductions import nancumsum as nancumsum
    from densekit.ops._nan_reductions import nanmax as nanmax
    from densekit.ops._nan_reductions import nanmean as nanmean
    from densekit.ops._nan_reductions import nanmedian as nanmedian
    from densekit.ops._nan_reductions import nanmin as nanmin
    from densekit.ops._nan_reductions import nanpercentile as nanpercentile
    from densekit.ops._nan_reductions import nanprod as nanprod
    from densekit.ops._nan_reductions import nanquantile as nanquantile
    from densekit.ops._nan_reductions import nanstd as nanstd
    from densekit.ops._nan_reductions import nansum as nansum
    from densekit.ops._nan_reductions import nanvar as nanvar
    from densekit.ops._normalization import batch_normalization as batch_normalization
    from densekit.ops._normalization import layer_normalization as layer_normalization
    from densekit.ops._normalization import psnr as psnr
    from densekit.ops._normalization import rms_normalization as rms_normalization
    from densekit.ops._products import cdist as cdist
    from densekit.ops._products import corrcoef as corrcoef
    from densekit.ops._products import correlate as correlate
    from densekit.ops._products import cross as cross
    from densekit.ops._products import geomspace as geomspace
    from densekit.ops._products import histogram as histogram
    from densekit.ops._products import kron as kron
    from densekit.ops._products import logspace as logspace
    from densekit.ops._products import trapezoid as trapezoid
    from densekit.ops._products import vander as vander
    from densekit.ops._rearranging import argpartition as argpartition
    from densekit.ops._rearranging import depth_to_space as depth_to_space
    from densekit.ops._rearranging import diagflat as diagflat
    from densekit.ops._rearranging import extract_sequences as extract_sequences
    from densekit.ops._rearranging import fliplr as fliplr
    from densekit.ops._rearranging import flipud as flipud
    from densekit.ops._rearranging import rearrange as rearrange
    from densekit.ops._rearranging import rot90 as rot90
    from densekit.ops._rearranging import select as select
    from densekit.ops._rearranging import space_to_depth as space_to_depth
    from densekit.ops._rearranging import unique as unique
    from densekit.ops._rearranging import unravel_index as unravel_index
    from densekit.ops._rearranging import view as view
    from densekit.ops._reductions import all as all
    from densekit.ops._reductions import amax as amax
    from densekit.ops._reductions import amin as amin
    from densekit.ops._reductions import any as any
    from densekit.ops._reductions import argmax as argmax
    from densekit.ops._reductions import argmin as argmin
    from densekit.ops._reductions import count_nonzero as count_nonzero
    from densekit.ops._reductions import cumprod as cumprod
    from densekit.ops._reductions import cumsum as cumsum
    from densekit.ops._reductions import max as max
    from densekit.ops._reductions import mean as mean
    from densekit.ops._reductions import min as min
    from densekit.ops._reductions import prod as prod
    from densekit.ops._reductions import std as std
    from densekit.ops._reductions import sum as sum
    from densekit.ops._reductions import var as var
    from densekit.ops._segments import segment_max as segment_max
    from densekit.ops._segments import segment_min as segment_min
    from densekit.ops._segments import segment_prod as segment_prod
    from densekit.ops._segments import segment_sum as segment_sum
    from densekit.ops._shape_inference import compute_output_spec as compute_output_spec
    from densekit.ops._shapes import broadcast_to as broadcast_to
    from densekit.ops._shapes import diag as diag
    from densekit.ops._shapes import diagonal as diagonal
    from densekit.ops._shapes import expand_dims as expand_dims
    from densekit.ops._shapes import flip as flip
    from densekit.ops._shapes import meshgrid as meshgrid
    from densekit.ops._shapes import moveaxis as moveaxis
    from densekit.ops._shapes import pad as pad
    from densekit.ops._shapes import ravel as ravel
    from densekit.ops._shapes import repeat as repeat
    from densekit.ops._shapes import reshape as reshape
    from densekit.ops._shapes import roll as roll
    from densekit.ops._shapes import squeeze as squeeze
    from densekit.ops._shapes import swapaxes as swapaxes
    from densekit.ops._shapes import tile as tile
    from densekit.ops._shapes import transpose as transpose
    from densekit.ops._shapes import tril as tril
    from densekit.ops._shapes import triu as triu
    from densekit.ops._special import erf as erf
    from densekit.ops._special import erfc as erfc
    from densekit.ops._special import erfinv as erfinv
    from densekit.ops._statistics import average as average
    from densekit.ops._statistics import bincount as bincount
    from densekit.ops._statistics import diff as diff
    from densekit.ops._statistics import digitize as digitize
    from densekit.ops._statistics import isin as isin
    from densekit.ops._statistics import median as median
    from densekit.ops._statistics import percentile as percentile
    from densekit.ops._statistics import ptp as ptp
    from densekit.ops._statistics import quantile as quantile
    from densekit.ops._statistics import searchsorted as searchsorted
    from densekit.ops._symbolic import FunctionOperation as FunctionOperation
    from densekit.ops._symbolic import Node as Node
    from densekit.ops._symbolic import Operation as Operation
    from densekit.ops._trigonometry import arccos as arccos
    from densekit.ops._trigonometry import arccosh as arccosh
    from densekit.ops._trigonometry import arcsin as arcsin
    from densekit.ops._trigonometry import arcsinh as arcsinh
    from densekit.ops._trigonometry import arctan as arctan
    from densekit.ops._trigonometry import arctan2 as arctan2
    from densekit.ops._trigonometry import arctanh as arctanh
    from densekit.ops._trigonometry import cos as cos
    from densekit.ops._trigonometry import cosh as cosh
    from densekit.ops._trigonometry import deg2rad as deg2rad
    from densekit.ops._trigonometry import rad2deg as rad2deg
    from densekit.ops._trigonometry import sin as sin
    from densekit.ops._trigonometry import sinh as sinh
    from densekit.ops._trigonometry import tan as tan
    from densekit.ops._trigonometry import tanh as tanh
    from densekit.ops._windows import bartlett as bartlett
    from densekit.ops._windows import blackman as blackman
    from densekit.ops._windows import hamming as hamming
    from densekit.ops._windows import hanning as hanning
    from densekit.ops._windows import i0 as i0
    from densekit.ops._windows import kaiser as kaiser
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_activations": (
                "celu elu gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh "
                "leaky_relu log_sigmoid mish relu relu6 selu sigmoid silu soft_shrink softplus "
                "softsign sparse_plus sparse_sigmoid squareplus swish tanh_shrink threshold"
            ),
            "_arithmetic": (
                "abs absolute add ceil clip divide divide_no_nan floor floor_divide maximum "
                "minimum mod multiply nan_to_num negative power reciprocal round rsqrt sign "
                "sqrt square subtract true_divide trunc"
            ),
            "_axis_formulas": "glu log_softmax logsumexp moments normalize softmax sparsemax",
            "_bitwise": (
                "bitwise_and bitwise_invert bitwise_left_shift bitwise_not bitwise_or "
                "bitwise_right_shift bitwise_xor gcd lcm left_shift right_shift"
            ),
            "_comparisons": (
                "allclose equal greater greater_equal isclose isfinite isinf isnan less "
                "less_equal logical_and logical_not logical_or logical_xor nonzero not_equal "
                "where"
            ),
            "_complex": "angle conj conjugate imag isreal polar real view_as_complex view_as_real",
            "_control_flow": "associative_scan switch vectorize",
            "_core_ops": (
                "array cast convert_to_numpy convert_to_tensor copy dtype is_tensor ndim "
                "saturate_cast shape size stop_gradient"
            ),
            "_custom_gradient": "custom_gradient jvp",
            "_decompositions": (
                "cholesky_inverse eig eigh logdet lstsq lu_factor matrix_rank pinv slogdet "
                "solve_triangular"
            ),
            "_elementary": (
                "cbrt fabs fmax fmin fmod heaviside hypot isneginf isposinf ldexp logaddexp2 "
                "nextafter signbit sinc"
            ),
            "_exponentials": "exp exp2 expm1 log log10 log1p log2 logaddexp",
            "_filled": (
                "arange empty empty_like eye full full_like identity linspace ones ones_like "
                "tri zeros zeros_like"
            ),
            "_gradient": "value_and_vjp",
            "_indexing": (
                "argsort get_item in_top_k scatter scatter_update slice slice_update sort take "
                "take_along_axis top_k"
            ),
            "_joining": (
                "append array_split concatenate dsplit dstack hsplit hstack split stack unstack "
                "vsplit vstack"
            ),
            "_keras_tensor": "KerasTensor any_symbolic",
            "_linear_algebra": (
                "cholesky det dot einsum inner inv matmul norm outer qr solve svd tensordot "
                "trace vdot"
            ),
            "_loops": "cond fori_loop map scan vectorized_map while_loop",
            "_losses": (
                "binary_crossentropy categorical_crossentropy multi_hot one_hot "
                "sparse_categorical_crossentropy"
            ),
            "_nan_reductions": (
                "nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin "
                "nanpercentile nanprod nanquantile nanstd nansum nanvar"
            ),
            "_normalization": "batch_normalization layer_normalization psnr rms_normalization",
            "_products": (
                "cdist corrcoef correlate cross geomspace histogram kron logspace trapezoid vander"
            ),
            "_rearranging": (
                "argpartition depth_to_space diagflat extract_sequences fliplr flipud rearrange "
                "rot90 select space_to_depth unique unravel_index view"
            ),
            "_reductions": (
                "all amax amin any argmax argmin count_nonzero cumprod cumsum max mean min prod "
                "std sum var"
            ),
            "_segments": "segment_max segment_min segment_prod segment_sum",
            "_shape_inference": "compute_output_spec",
            "_shapes": (
                "broadcast_to diag diagonal expand_dims flip meshgrid moveaxis pad ravel repeat "
                "reshape roll squeeze swapaxes tile transpose tril triu"
            ),
            "_special": "erf erfc erfinv",
            "_statistics": (
                "average bincount diff digitize isin median percentile ptp quantile searchsorted"
            ),
            "_symbolic": "FunctionOperation Node Operation",
            "_trigonometry": (
                "arccos arccosh arcsin arcsinh arctan arctan2 arctanh cos cosh deg2rad rad2deg "
                "sin sinh tan tanh"
            ),
            "_windows": "bartlett blackman hamming hanning i0 kaiser",
            "linalg": "",
            "nn": "",
            "numpy": "",
        },
    )

from densekit.ops import _operators as _operators
