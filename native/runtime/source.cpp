#include "source.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace densekit {
namespace {

template <class From>
double read_as_double(const char* p) {
  From value;
  std::memcpy(&value, p, sizeof value);
  return static_cast<double>(value);
}

// Exact for every integer below 2^53, which covers any class label.
double read_number(char type, const char* p) {
  switch (type) {
    case '?': return read_as_double<uint8_t>(p);
    case 'b': return read_as_double<int8_t>(p);
    case 'B': return read_as_double<uint8_t>(p);
    case 'h': return read_as_double<int16_t>(p);
    case 'H': return read_as_double<uint16_t>(p);
    case 'i': return read_as_double<int>(p);
    case 'I': return read_as_double<unsigned>(p);
    case 'l': return read_as_double<long>(p);
    case 'L': return read_as_double<unsigned long>(p);
    case 'q': return read_as_double<long long>(p);
    case 'Q': return read_as_double<unsigned long long>(p);
    case 'f': return read_as_double<float>(p);
    case 'd': return read_as_double<double>(p);
    default: return std::nan("");
  }
}

// Shuffled rows start anywhere in memory, and the processor's own prefetching starts afresh in each: so many bytes, and so
// many rows, are prefetched, into L2 (L1 has few lines under way at once). Zen 4, a step of 784-128-64-10, batch 32:
// 95.4 us, into L1 98 us; 20-32-16-1, batch 32, a million rows: 6.3 us, with 4 rows ahead 6.6 us. Tried and lost: the next
// batch's rows while the weight gradients are computed. Gathering 784 numbers a row fell from 12 % of a step to 6 %, the
// products took as much longer.
constexpr index_t kBytesAhead = 3072, kMostRowsAhead = 64;

void prefetch_row(const Source& source, RowPicker pick, index_t r) {
  const char* row = source.data + pick[r] * source.row_stride;
  for (index_t at = 0; at < source.elements * source.item_size; at += 64) __builtin_prefetch(row + at, 0, 2);
}

// A call of memcpy takes longer than so few bytes. Zen 4, a step of 20-32-16-1: 3 % less.
constexpr std::size_t kShortRow = 256, kPiece = 16;

inline void copy_row(const char* from, std::size_t bytes, char* to) {
  if (bytes < kPiece || bytes > kShortRow) {
    std::memcpy(to, from, bytes);
    return;
  }
  for (std::size_t at = 0; at + kPiece <= bytes; at += kPiece) std::memcpy(to + at, from + at, kPiece);
  if (bytes % kPiece != 0) std::memcpy(to + bytes - kPiece, from + bytes - kPiece, kPiece);
}

}  // namespace

template <class T>
void gather(const Kernels<T>& kernels, const Source& source, RowPicker pick, index_t rows, T* dst) {
  const index_t n = source.elements;
  if (source.type == type_char<T>()) {
    if (n == 1) {  // a column of targets: no call for four bytes
      for (index_t r = 0; r < rows; ++r) std::memcpy(dst + r, source.data + pick[r] * source.row_stride, sizeof(T));
      return;
    }
    const auto bytes = static_cast<std::size_t>(n) * sizeof(T);
    const index_t ahead = std::min(kMostRowsAhead, kBytesAhead / static_cast<index_t>(bytes + 1) + 2);
    index_t asked = pick.index == nullptr ? rows : 0;
    for (index_t r = 0; r < rows; ++r) {
      for (; asked < std::min(rows, r + ahead); ++asked) prefetch_row(source, pick, asked);
      copy_row(source.data + pick[r] * source.row_stride, bytes, reinterpret_cast<char*>(dst + r * n));
    }
    return;
  }
  for (index_t r = 0; r < rows; ++r) {
    kernels.convert(n, source.type, source.data + pick[r] * source.row_stride, dst + r * n);
  }
}

template <class T>
void gather_weights(const Kernels<T>& kernels, const Source& source, RowPicker pick, index_t rows, index_t positions,
                    T* dst) {
  if (source.elements == positions) return gather(kernels, source, pick, rows, dst);
  for (index_t r = 0; r < rows; ++r) {
    T value;
    kernels.convert(1, source.type, source.data + pick[r] * source.row_stride, &value);
    for (index_t p = 0; p < positions; ++p) dst[r * positions + p] = value;
  }
}

bool gather_labels(const Source& source, RowPicker pick, index_t rows, index_t classes, double ignored, int32_t* dst) {
  bool good = true;
  for (index_t r = 0; r < rows; ++r) {
    const char* row = source.data + pick[r] * source.row_stride;
    for (index_t e = 0; e < source.elements; ++e) {
      const double label = read_number(source.type, row + e * source.item_size);
      const bool legal = (label >= 0 && label < static_cast<double>(classes)) || label == ignored;
      good = good && legal;
      dst[r * source.elements + e] = legal ? static_cast<int32_t>(label) : 0;
    }
  }
  return good;
}

template void gather<float>(const Kernels<float>&, const Source&, RowPicker, index_t, float*);
template void gather<double>(const Kernels<double>&, const Source&, RowPicker, index_t, double*);
template void gather_weights<float>(const Kernels<float>&, const Source&, RowPicker, index_t, index_t, float*);
template void gather_weights<double>(const Kernels<double>&, const Source&, RowPicker, index_t, index_t, double*);

}  // namespace densekit
