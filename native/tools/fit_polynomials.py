"""Prints the coefficients in native/kernels/generic/math.inl.

Chebyshev interpolation in 60 digits (mpmath).

Run: python native/tools/fit_polynomials.py
"""

from __future__ import annotations

from mpmath import atanh, cos, erf, erfc, exp, expm1, log, mp, mpf, pi, sqrt

mp.dps = 60


def fit(f, low, high, degree):
    """Coefficients, lowest first, of the interpolant at Chebyshev nodes, and its greatest error."""
    low, high = mpf(low), mpf(high)
    n = degree + 1
    nodes = [(low + high) / 2 + (high - low) / 2 * cos(pi * (i + mpf(1) / 2) / n) for i in range(n)]
    table = [f(x) for x in nodes]
    for order in range(1, n):  # divided differences
        for i in range(n - 1, order - 1, -1):
            table[i] = (table[i] - table[i - 1]) / (nodes[i] - nodes[i - order])
    coefficients = [mpf(0)]
    for i in range(n - 1, -1, -1):  # Newton form to powers
        shifted = [mpf(0), *coefficients]
        padded = [*coefficients, mpf(0)]
        coefficients = [s - nodes[i] * c for s, c in zip(shifted, padded, strict=True)]
        coefficients[0] += table[i]
    coefficients = coefficients[:n]
    error = max(
        abs(sum(c * x**k for k, c in enumerate(coefficients)) - f(x))
        for x in (low + (high - low) * i / 997 for i in range(998))
    )
    return coefficients, error


def show(name, f, low, high, degree, type_name):
    coefficients, error = fit(f, low, high, degree)
    digits = 9 if type_name == "float" else 18
    body = ", ".join(mp.nstr(c, digits) for c in coefficients)
    interval = f"[{mp.nstr(mpf(low), 4)}, {mp.nstr(mpf(high), 4)}]"
    print(f"// {name}, {type_name}: error {mp.nstr(error, 2)} on {interval}")
    print(f"{{{body}}}")


def series(f, at_zero):
    return lambda x: at_zero if abs(x) < mpf(10) ** -25 else f(x)


def erfc_scaled(v):
    """(1 + 2 t) exp(t^2) erfc(t): smooth and near 1 everywhere; v = (t - 3) / (t + 3)."""
    t = 3 * (1 + v) / (1 - v)
    return (1 + 2 * t) * exp(t * t) * erfc(t)


half_ln2 = log(mpf(2)) / 2 * mpf("1.0001")
tangent = mpf("0.0296")
if __name__ == "__main__":
    for type_name, e, ln, s, c in (("float", 4, 3, 6, 9), ("double", 9, 7, 13, 22)):
        f = series(lambda r: (expm1(r) - r) / r**2, mpf(1) / 2)
        show("(exp(r) - 1 - r) / r^2", f, -half_ln2, half_ln2, e, type_name)
        f = series(lambda z: (2 * atanh(sqrt(z)) - 2 * sqrt(z)) / sqrt(z) ** 3, mpf(2) / 3)
        show("(2 atanh(s) - 2 s) / s^3 in s^2", f, 0, tangent, ln, type_name)
        f = series(lambda z: erf(sqrt(z)) / sqrt(z), 2 / sqrt(pi))
        show("erf(x) / x in x^2", f, 0, 1, s, type_name)
        top = mpf("10.2") if type_name == "float" else mpf(28)
        last = (top - 3) / (top + 3)
        show("(1 + 2 t) exp(t^2) erfc(t) in v", erfc_scaled, -1, last, c, type_name)
