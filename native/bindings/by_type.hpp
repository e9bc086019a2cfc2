// Functions of arrays in float32 or float64, for the bindings of single formulas.
#pragma once
#include <type_traits>

#include "plan.hpp"
#include "runtime/float_mode.hpp"
#include "runtime/names.hpp"

namespace densekit::bindings {

using Doubles = std::vector<double>;

template <class T>
const Kernels<T>& kernels() {
  const Implementation* active = active_implementation();
  if (active == nullptr) throw std::runtime_error(implementation_error());
  if constexpr (std::is_same_v<T, float>) return *active->f32;
  else return *active->f64;
}

template <class T>
constexpr int type_of() {
  return type_number(std::is_same_v<T, double>);
}

// Calls f(T{}) with the element type of `x`, which must be a float32 or float64 array.
template <class F>
nb::object by_type(nb::handle x, F f) {
  if (!is_array(x)) throw nb::type_error("expected a NumPy array.");
  FlushDenormals flush;
  if (PyArray_TYPE(as_array(x)) == NPY_FLOAT) return f(float{});
  if (PyArray_TYPE(as_array(x)) == NPY_DOUBLE) return f(double{});
  throw nb::type_error("expected an array of float32 or float64.");
}

// A C-contiguous matrix; keeps what it reads alive.
template <class T>
struct Matrix {
  nb::object holder;
  index_t rows = 0, width = 0;
  const T* data = nullptr;
};

template <class T>
Matrix<T> matrix(nb::handle object) {
  PyObject* array = PyArray_FROMANY(object.ptr(), type_of<T>(), 2, 2, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST);
  if (array == nullptr) nb::raise_python_error();
  Matrix<T> m;
  m.holder = nb::steal(array);
  m.rows = PyArray_DIM(as_array(m.holder), 0);
  m.width = PyArray_DIM(as_array(m.holder), 1);
  m.data = static_cast<const T*>(array_data(m.holder));
  return m;
}

template <class T>
nb::object new_matrix(index_t rows, index_t width) {
  return new_array(type_of<T>(), {rows, width});
}
template <class T>
T* out(nb::handle array) {
  return static_cast<T*>(array_data(array));
}

inline void require_shape(bool fits, const char* what) {
  if (!fits) throw nb::value_error((std::string(what) + ": the shapes do not fit together.").c_str());
}

// Targets of a loss as the kernels take them; labels are checked against the width.
template <class T>
struct Targets {
  Matrix<T> dense;
  nb::object labels_holder;
  const int32_t* labels = nullptr;

  Targets(const LossSpec& spec, nb::handle y_true, const Matrix<T>& y_pred) {
    if (!takes_labels(spec.kind)) {
      dense = matrix<T>(y_true);
      require_shape(dense.rows == y_pred.rows && dense.width == y_pred.width, "loss");
      return;
    }
    labels_holder = to_array(y_true, NPY_INT32, y_pred.rows, "labels");
    labels = static_cast<const int32_t*>(array_data(labels_holder));
    for (index_t r = 0; r < y_pred.rows; ++r) {
      const bool legal = (labels[r] >= 0 && labels[r] < y_pred.width) || labels[r] == spec.p[1];
      if (!legal) throw nb::value_error("A class label is outside 0..classes-1.");
    }
  }
};

}  // namespace densekit::bindings
