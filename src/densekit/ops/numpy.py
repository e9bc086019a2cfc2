"""`keras.ops.numpy`: those ops that NumPy has, under its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.ops import abs as abs
    from densekit.ops import absolute as absolute
    from densekit.ops import add as add
    from densekit.ops import all as all
    from densekit.ops import allclose as allclose
    from densekit.ops import amax as amax
    from densekit.ops import amin as amin
    from densekit.ops import angle as angle
    from densekit.ops import any as any
    from densekit.ops import append as append
    from densekit.ops import arange as arange
    from densekit.ops import arccos as arccos
    from densekit.ops import arccosh as arccosh
    from densekit.ops import arcsin as arcsin
    from densekit.ops import arcsinh as arcsinh
    from densekit.ops import arctan as arctan
    from densekit.ops import arctan2 as arctan2
    from densekit.ops import arctanh as arctanh
    from densekit.ops import argmax as argmax
    from densekit.ops import argmin as argmin
    from densekit.ops import argpartition as argpartition
    from densekit.ops import argsort as argsort
    from densekit.ops import array as array
    from densekit.ops import array_split as array_split
    from densekit.ops import average as average
    from densekit.ops import bartlett as bartlett
    from densekit.ops import bincount as bincount
    from densekit.ops import bitwise_and as bitwise_and
    from densekit.ops import bitwise_invert as bitwise_invert
    from densekit.ops import bitwise_left_shift as bitwise_left_shift
    from densekit.ops import bitwise_not as bitwise_not
    from densekit.ops import bitwise_or as bitwise_or
    from densekit.ops import bitwise_right_shift as bitwise_right_shift
    from densekit.ops import bitwise_xor as bitwise_xor
    from densekit.ops import blackman as blackman
    from densekit.ops import broadcast_to as broadcast_to
    from densekit.ops import cbrt as cbrt
    from densekit.ops import ceil as ceil
    from densekit.ops import clip as clip
    from densekit.ops import concatenate as concatenate
    from densekit.ops import conj as conj
    from densekit.ops import conjugate as conjugate
    from densekit.ops import copy as copy
    from densekit.ops import corrcoef as corrcoef
    from densekit.ops import correlate as correlate
    from densekit.ops import cos as cos
    from densekit.ops import cosh as cosh
    from densekit.ops import count_nonzero as count_nonzero
    from densekit.ops import cross as cross
    from densekit.ops import cumprod as cumprod
    from densekit.ops import cumsum as cumsum
    from densekit.ops import deg2rad as deg2rad
    from densekit.ops import diag as diag
    from densekit.ops import diagflat as diagflat
    from densekit.ops import diagonal as diagonal
    from densekit.ops import diff as diff
    from densekit.ops import digitize as digitize
    from densekit.ops import divide as divide
    from densekit.ops import divide_no_nan as divide_no_nan
    from densekit.ops import dot as dot
    from densekit.ops import dsplit as dsplit
    from densekit.ops import dstack as dstack
    from densekit.ops import einsum as einsum
    from densekit.ops import empty as empty
    from densekit.ops import empty_like as empty_like
    from densekit.ops import equal as equal
    from densekit.ops import exp as exp
    from densekit.ops import exp2 as exp2
    from densekit.ops import expand_dims as expand_dims
    from densekit.ops import expm1 as expm1
    from densekit.ops import eye as eye
    from densekit.ops import fabs as fabs
    from densekit.ops import flip as flip
    from densekit.ops import fliplr as fliplr
    from densekit.ops import flipud as flipud
    from densekit.ops import floor as floor
    from densekit.ops import floor_divide as floor_divide
    from densekit.ops import fmax as fmax
    from densekit.ops import fmin as fmin
    from densekit.ops import fmod as fmod
    from densekit.ops import full as full
    from densekit.ops import full_like as full_like
    from densekit.ops import gcd as gcd
    from densekit.ops import geomspace as geomspace
    from densekit.ops import get_item as get_item
    from densekit.ops import greater as greater
    from densekit.ops import greater_equal as greater_equal
    from densekit.ops import hamming as hamming
    from densekit.ops import hanning as hanning
    from densekit.ops import heaviside as heaviside
    from densekit.ops import histogram as histogram
    from densekit.ops import hsplit as hsplit
    from densekit.ops import hstack as hstack
    from densekit.ops import hypot as hypot
    from densekit.ops import i0 as i0
    from densekit.ops import identity as identity
    from densekit.ops import imag as imag
    from densekit.ops import inner as inner
    from densekit.ops import isclose as isclose
    from densekit.ops import isfinite as isfinite
    from densekit.ops import isin as isin
    from densekit.ops import isinf as isinf
    from densekit.ops import isnan as isnan
    from densekit.ops import isneginf as isneginf
    from densekit.ops import isposinf as isposinf
    from densekit.ops import isreal as isreal
    from densekit.ops import kaiser as kaiser
    from densekit.ops import kron as kron
    from densekit.ops import lcm as lcm
    from densekit.ops import ldexp as ldexp
    from densekit.ops import left_shift as left_shift
    from densekit.ops import less as less
    from densekit.ops import less_equal as less_equal
    from densekit.ops import linspace as linspace
    from densekit.ops import log as log
    from densekit.ops import log1p as log1p
    from densekit.ops import log2 as log2
    from densekit.ops import log10 as log10
    from densekit.ops import logaddexp as logaddexp
    from densekit.ops import logaddexp2 as logaddexp2
    from densekit.ops import logical_and as logical_and
    from densekit.ops import logical_not as logical_not
    from densekit.ops import logical_or as logical_or
    from densekit.ops import logical_xor as logical_xor
    from densekit.ops import logspace as logspace
    from densekit.ops import matmul as matmul
    from densekit.ops import max as max
    from densekit.ops import maximum as maximum
    from densekit.ops import mean as mean
    from densekit.ops import median as median
    from densekit.ops import meshgrid as meshgrid
    from densekit.ops import min as min
    from densekit.ops import minimum as minimum
    from densekit.ops import mod as mod
    from densekit.ops import moveaxis as moveaxis
    from densekit.ops import multiply as multiply
    from densekit.ops import nan_to_num as nan_to_num
    from densekit.ops import nanargmax as nanargmax
    from densekit.ops import nanargmin as nanargmin
    from densekit.ops import nancumprod as nancumprod
    from densekit.ops import nancumsum as nancumsum
    from densekit.ops import nanmax as nanmax
    from densekit.ops import nanmean as nanmean
    from densekit.ops import nanmedian as nanmedian
    from densekit.ops import nanmin as nanmin
    from densekit.ops import nanpercentile as nanpercentile
    from densekit.ops import nanprod as nanprod
    from densekit.ops import nanquantile as nanquantile
    from densekit.ops import nanstd as nanstd
    from densekit.ops import nansum as nansum
    from densekit.ops import nanvar as nanvar
    from densekit.ops import ndim as ndim
    from densekit.ops import negative as negative
    from densekit.ops import nextafter as nextafter
    from densekit.ops import nonzero as nonzero
    from densekit.ops import not_equal as not_equal
    from densekit.ops import ones as ones
    from densekit.ops import ones_like as ones_like
    from densekit.ops import outer as outer
    from densekit.ops import pad as pad
    from densekit.ops import percentile as percentile
    from densekit.ops import power as power
    from densekit.ops import prod as prod
    from densekit.ops import ptp as ptp
    from densekit.ops import quantile as quantile
    from densekit.ops import rad2deg as rad2deg
    from densekit.ops import ravel as ravel
    from densekit.ops import real as real
    from densekit.ops import reciprocal as reciprocal
    from densekit.ops import repeat as repeat
    from densekit.ops import reshape as reshape
    from densekit.ops import right_shift as right_shift
    from densekit.ops import roll as roll
    from densekit.ops import rot90 as rot90
    from densekit.ops import round as round
    from densekit.ops import searchsorted as searchsorted
    from densekit.ops import select as select
    from densekit.ops import sign as sign
    from densekit.ops import signbit as signbit
    from densekit.ops import sin as sin
    from densekit.ops import sinc as sinc
    from densekit.ops import sinh as sinh
    from densekit.ops import size as size
    from densekit.ops import slogdet as slogdet
    from densekit.ops import sort as sort
    from densekit.ops import split as split
    from densekit.ops import sqrt as sqrt
    from densekit.ops import square as square
    from densekit.ops import squeeze as squeeze
    from densekit.ops import stack as stack
    from densekit.ops import std as std
    from densekit.ops import subtract as subtract
    from densekit.ops import sum as sum
    from densekit.ops import swapaxes as swapaxes
    from densekit.ops import take as take
    from densekit.ops import take_along_axis as take_along_axis
    from densekit.ops import tan as tan
    from densekit.ops import tanh as tanh
    from densekit.ops import tensordot as tensordot
    from densekit.ops import tile as tile
    from densekit.ops import trace as trace
    from densekit.ops import transpose as transpose
    from densekit.ops import trapezoid as trapezoid
    from densekit.ops import tri as tri
    from densekit.ops import tril as tril
    from densekit.ops import triu as triu
    from densekit.ops import true_divide as true_divide
    from densekit.ops import trunc as trunc
    from densekit.ops import unique as unique
    from densekit.ops import unravel_index as unravel_index
    from densekit.ops import vander as vander
    from densekit.ops import var as var
    from densekit.ops import vdot as vdot
    from densekit.ops import vectorize as vectorize
    from densekit.ops import view as view
    from densekit.ops import vsplit as vsplit
    from densekit.ops import vstack as vstack
    from densekit.ops import where as where
    from densekit.ops import zeros as zeros
    from densekit.ops import zeros_like as zeros_like
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "densekit.ops": (
                "abs absolute add all allclose amax amin angle any append arange arccos arccosh "
                "arcsin arcsinh arctan arctan2 arctanh argmax argmin argpartition argsort array "
                "array_split average bartlett bincount bitwise_and bitwise_invert "
                "bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor "
                "blackman broadcast_to cbrt ceil clip concatenate conj conjugate copy corrcoef "
                "correlate cos cosh count_nonzero cross cumprod cumsum deg2rad diag diagflat "
                "diagonal diff digitize divide divide_no_nan dot dsplit dstack einsum empty "
                "empty_like equal exp exp2 expand_dims expm1 eye fabs flip fliplr flipud floor "
                "floor_divide fmax fmin fmod full full_like gcd geomspace get_item greater "
                "greater_equal hamming hanning heaviside histogram hsplit hstack hypot i0 "
                "identity imag inner isclose isfinite isin isinf isnan isneginf isposinf isreal "
                "kaiser kron lcm ldexp left_shift less less_equal linspace log log10 log1p log2 "
                "logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logspace "
                "matmul max maximum mean median meshgrid min minimum mod moveaxis multiply "
                "nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian "
                "nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar ndim negative "
                "nextafter nonzero not_equal ones ones_like outer pad percentile power prod ptp "
                "quantile rad2deg ravel real reciprocal repeat reshape right_shift roll rot90 "
                "round searchsorted select sign signbit sin sinc sinh size slogdet sort split "
                "sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan "
                "tanh tensordot tile trace transpose trapezoid tri tril triu true_divide trunc "
                "unique unravel_index vander var vdot vectorize view vsplit vstack where zeros "
                "zeros_like"
            ),
        },
    )
