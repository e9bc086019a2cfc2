// NumPy arrays in and out, by NumPy's own C interface: the cost of a call is part of the promise.
#pragma once
#include <nanobind/nanobind.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL densekit_numpy
#ifndef DENSEKIT_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include <string>
#include <vector>

#include "runtime/source.hpp"

namespace densekit::bindings {

namespace nb = nanobind;

inline PyArrayObject* as_array(nb::handle object) { return reinterpret_cast<PyArrayObject*>(object.ptr()); }
inline int type_number(bool is_double) { return is_double ? NPY_DOUBLE : NPY_FLOAT; }
inline bool is_array(nb::handle object) { return PyArray_Check(object.ptr()); }
inline void* array_data(nb::handle array) { return PyArray_DATA(as_array(array)); }
inline index_t array_size(nb::handle array) { return PyArray_SIZE(as_array(array)); }

// A new C-contiguous array.
nb::object new_array(int type, const std::vector<npy_intp>& shape);
// The same holding a copy of `data`.
nb::object copy_array(int type, const std::vector<npy_intp>& shape, const void* data);

// The object as a C-contiguous array of `type`, converted if need be; throws ValueError unless it has `size` elements.
nb::object to_array(nb::handle object, int type, index_t size, const std::string& what);

// The array itself, which must be C-contiguous, aligned, native and of `type`; throws otherwise.
void require_dense(nb::handle array, int type, bool writable, const std::string& what);

// Rows of an array (any stride, any numeric type), which must hold `elements` contiguous elements each, or, when
// `or_one`, a single one. None gives an absent source.
Source row_source(nb::handle array, index_t elements, bool or_one, const std::string& what);

}  // namespace densekit::bindings
