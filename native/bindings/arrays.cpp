#include "arrays.hpp"

#include <cstring>

namespace densekit::bindings {
namespace {

std::string shape_text(nb::handle array) {
  std::string text = "(";
  for (int i = 0; i < PyArray_NDIM(as_array(array)); ++i) {
    text += (i ? ", " : "") + std::to_string(PyArray_DIM(as_array(array), i));
  }
  return text + ")";
}

// The type character the kernels know, or 0. Aliases of equal layout ('l' for 'q') pass unchanged.
char known_type(PyArrayObject* array) {
  const char type = PyArray_DESCR(array)->type;
  return std::strchr("?bBhHiIlLqQefd", type) != nullptr ? type : '\0';
}

bool rows_are_contiguous(PyArrayObject* array) {
  if (PyArray_SIZE(array) == 0) return true;  // NumPy leaves the strides of an empty array open
  npy_intp expected = PyArray_ITEMSIZE(array);
  for (int i = PyArray_NDIM(array) - 1; i >= 1; --i) {
    if (PyArray_DIM(array, i) != 1 && PyArray_STRIDE(array, i) != expected) return false;
    expected *= PyArray_DIM(array, i);
  }
  return true;
}

}  // namespace

nb::object new_array(int type, const std::vector<npy_intp>& shape) {
  PyObject* array = PyArray_SimpleNew(static_cast<int>(shape.size()), shape.data(), type);
  if (array == nullptr) nb::raise_python_error();
  return nb::steal(array);
}

nb::object copy_array(int type, const std::vector<npy_intp>& shape, const void* data) {
  nb::object array = new_array(type, shape);
  const auto bytes = static_cast<std::size_t>(PyArray_NBYTES(as_array(array)));
  if (bytes > 0) std::memcpy(array_data(array), data, bytes);
  return array;
}

nb::object to_array(nb::handle object, int type, index_t size, const std::string& what) {
  PyObject* array = PyArray_FROMANY(object.ptr(), type, 0, 0, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST);
  if (array == nullptr) nb::raise_python_error();
  nb::object result = nb::steal(array);
  if (array_size(result) != size) {
    throw nb::value_error(
        (what + ": expected " + std::to_string(size) + " elements, got shape " + shape_text(result) + ".").c_str());
  }
  return result;
}

void require_dense(nb::handle array, int type, bool writable, const std::string& what) {
  if (!is_array(array)) throw nb::type_error((what + ": expected a NumPy array.").c_str());
  PyArrayObject* a = as_array(array);
  if (PyArray_TYPE(a) != type || PyArray_ISBYTESWAPPED(a)) {
    throw nb::type_error((what + ": expected " +
                          (type == NPY_DOUBLE  ? "float64"
                           : type == NPY_FLOAT ? "float32"
                                               : "int64") +
                          " in native byte order.")
                             .c_str());
  }
  if (!PyArray_IS_C_CONTIGUOUS(a) || !PyArray_ISALIGNED(a)) {
    throw nb::value_error((what + ": the array must be C-contiguous.").c_str());
  }
  if (writable && !PyArray_ISWRITEABLE(a)) throw nb::value_error((what + ": the array must be writable.").c_str());
}

Source row_source(nb::handle array, index_t elements, bool or_one, const std::string& what) {
  Source source;
  if (array.is_none()) return source;
  if (!is_array(array)) throw nb::type_error((what + ": expected a NumPy array or None.").c_str());
  PyArrayObject* a = as_array(array);
  if (PyArray_NDIM(a) < 1) throw nb::value_error((what + ": expected an array of rows, got a scalar.").c_str());
  source.type = known_type(a);
  if (source.type == '\0' || PyArray_ISBYTESWAPPED(a)) {
    throw nb::type_error((what + ": expected numbers in native byte order; convert with .astype().").c_str());
  }
  source.data = PyArray_BYTES(a);
  source.rows = PyArray_DIM(a, 0);
  source.row_stride = PyArray_STRIDE(a, 0);
  source.item_size = PyArray_ITEMSIZE(a);
  source.elements = 1;
  for (int i = 1; i < PyArray_NDIM(a); ++i) source.elements *= PyArray_DIM(a, i);
  if (source.elements != elements && !(or_one && source.elements == 1)) {
    throw nb::value_error(
        (what + ": expected " + std::to_string(elements) + " elements a row, got shape " + shape_text(array) + ".")
            .c_str());
  }
  if (!rows_are_contiguous(a)) throw nb::value_error((what + ": the elements of a row must be contiguous.").c_str());
  return source;
}

}  // namespace densekit::bindings
