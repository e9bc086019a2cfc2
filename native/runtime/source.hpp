// Arrays of the caller's, read row by row: any stride between rows, any numeric type.
#pragma once
#include <cstdint>

#include "densekit/kernels.hpp"

namespace densekit {

struct Source {
  const char* data = nullptr;  // null: absent
  index_t rows = 0;
  index_t row_stride = 0;  // bytes
  index_t elements = 0;    // contiguous elements of a row
  index_t item_size = 0;   // bytes
  char type = 'f';         // NumPy type character
};

// Row r of the batch is row index[r] of the source, or first + r when index is null.
struct RowPicker {
  const int64_t* index = nullptr;
  index_t first = 0;
  RowPicker from(index_t r) const { return {index != nullptr ? index + r : nullptr, first + r}; }
  index_t operator[](index_t r) const { return index != nullptr ? static_cast<index_t>(index[r]) : first + r; }
};

template <class T>
constexpr char type_char();
template <>
constexpr char type_char<float>() {
  return 'f';
}
template <>
constexpr char type_char<double>() {
  return 'd';
}

// True when rows lie end to end in the plan's own type, so that they can be read where they are.
template <class T>
bool is_direct(const Source& s) {
  return s.type == type_char<T>() && s.row_stride == s.elements * static_cast<index_t>(sizeof(T)) &&
         reinterpret_cast<uintptr_t>(s.data) % alignof(T) == 0;
}

// dst[r, :] = source row picked for r, converted to T.
template <class T>
void gather(const Kernels<T>& kernels, const Source& source, RowPicker pick, index_t rows, T* dst);

// As gather, one value per row spread over `positions` when the source has fewer.
template <class T>
void gather_weights(const Kernels<T>& kernels, const Source& source, RowPicker pick, index_t rows, index_t positions,
                    T* dst);

template <class T>
bool all_zero_one(index_t n, const T* x) {
  for (index_t i = 0; i < n; ++i) {
    if (x[i] != 0 && x[i] != 1) return false;
  }
  return true;
}

// Class labels as int32. A label outside 0..classes-1 that is not `ignored` becomes 0 and makes the result false.
bool gather_labels(const Source& source, RowPicker pick, index_t rows, index_t classes, double ignored, int32_t* dst);

}  // namespace densekit
