// Activations of arrays: the formulas of activations.inl on every number, and those of whole rows.

template <class T>
void softmax_row(index_t width, const T* z, T* y) {
  const Vec<T> top = row_max(width, z);
  const Vec<T> sum = row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
    const Vec<T> e = exp<T>(load(z + j, part) - top);
    store(y + j, e, part);
    return e;
  });
  const Vec<T> inverse = T(1) / sum;
  for_vectors<T>(width, [&](index_t j, auto part)
                            __attribute__((always_inline)) { store(y + j, load(y + j, part) * inverse, part); });
}

template <class T>
void log_softmax_row(index_t width, const T* z, T* y) {
  const Vec<T> top = row_max(width, z);
  const Vec<T> sum = row_sum<T>(
      width, [&](index_t j, auto part) __attribute__((always_inline)) { return exp<T>(load(z + j, part) - top); });
  const Vec<T> norm = log<T>(sum);
  for_vectors<T>(width, [&](index_t j, auto part)
                            __attribute__((always_inline)) { store(y + j, load(z + j, part) - top - norm, part); });
}

// max(z - tau, 0) with the result summing to 1. tau is the fixed point of (sum of the z above tau - 1) / count: the
// support only shrinks from round to round, so no sorting is needed (Michelot 1986).
template <class T>
void sparsemax_row(index_t width, const T* z, T* y) {
  Vec<T> tau = broadcast(T(-__builtin_inf()));
  T count = -1;
  for (;;) {
    Vec<T> above = {};
    const Vec<T> sum = row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> v = load(z + j, part);
      const IntVec<T> in = ~(v <= tau);
      above += outside<T>(choose<T>(in, broadcast(T(1))), Vec<T>{}, part);
      return choose<T>(in, v);
    });
    const Vec<T> members = all_sum<T>(above);
    if (members[0] == count) break;
    count = members[0];
    tau = (sum - T(1)) / members;
    if (tau[0] != tau[0]) break;
  }
  for_vectors<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
    store(y + j, max_or_second(Vec<T>{}, load(z + j, part) - tau), part);
  });
}

template <class T>
void activate(const ActivationSpec& s, index_t rows, index_t width, const T* z, T* y) {
  const index_t n = rows * width;
  switch (s.kind) {
#define DENSEKIT_CASE(kind) \
  case ActivationKind::kind: return map_value<T, int(ActivationKind::kind)>(s.p, n, z, y);
    case ActivationKind::relu:
      if (is_plain_relu(s)) return map_value<T, kPlainRelu>(s.p, n, z, y);
      return map_value<T, int(ActivationKind::relu)>(s.p, n, z, y);
    case ActivationKind::gelu:
      if (s.p[0] != 0) return map_value<T, kGeluTanh>(s.p, n, z, y);
      return map_value<T, int(ActivationKind::gelu)>(s.p, n, z, y);
    case ActivationKind::linear:
      if (z != y) map_value<T, int(ActivationKind::linear)>(s.p, n, z, y);
      return;
#define DENSEKIT_ELEMENT(name, numbers) DENSEKIT_CASE(name)
#include "densekit/kinds.inl"
      DENSEKIT_CASE(sigmoid)
      DENSEKIT_CASE(tanh)
      DENSEKIT_CASE(exponential)
#undef DENSEKIT_CASE
    case ActivationKind::softmax:
      for (index_t r = 0; r < rows; ++r) softmax_row(width, z + r * width, y + r * width);
      return;
    case ActivationKind::log_softmax:
      for (index_t r = 0; r < rows; ++r) log_softmax_row(width, z + r * width, y + r * width);
      return;
    case ActivationKind::sparsemax:
      for (index_t r = 0; r < rows; ++r) sparsemax_row(width, z + r * width, y + r * width);
      return;
    case ActivationKind::glu: {
      const index_t half = width / 2;
      for (index_t r = 0; r < rows; ++r) {
        for_vectors<T>(half, [&](index_t j, auto part) __attribute__((always_inline)) {
          const T* zr = z + r * width + j;
          store(y + r * half + j, load(zr, part) * sigmoid<T>(load(zr + half, part)), part);
        });
      }
      return;
    }
    case ActivationKind::count: return;
  }
}

template <class T, class F>
DENSEKIT_INLINE void map_output(index_t n, const T* y, const T* dy, T* dz, F f) {
  for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) {
    store(dz + i, f(load(y + i, part), load(dy + i, part)), part);
  });
}

template <class T>
void activate_backward(const ActivationSpec& s, index_t rows, index_t width, const T* z, const T* y, const T* dy,
                       T* dz) {
  const index_t n = rows * width;
  switch (s.kind) {
#define DENSEKIT_ELEMENT(name, numbers) \
  case ActivationKind::name: return map_slope<T, int(ActivationKind::name)>(s.p, n, z, dy, dz);
#include "densekit/kinds.inl"
    case ActivationKind::relu:
      if (!is_plain_relu(s)) return map_slope<T, int(ActivationKind::relu)>(s.p, n, z, dy, dz);
      return map_output<T>(n, y ? y : z, dy, dz, [](Vec<T> v, Vec<T> d) __attribute__((always_inline)) {
        return choose<T>(v > T(0), d);  // not a product: what a dead unit hands back is 0 even for an infinite dy
      });
    case ActivationKind::gelu:
      if (s.p[0] != 0) return map_slope<T, kGeluTanh>(s.p, n, z, dy, dz);
      return map_slope<T, int(ActivationKind::gelu)>(s.p, n, z, dy, dz);
    case ActivationKind::linear:
      if (dz != dy) map_value<T, int(ActivationKind::linear)>(s.p, n, dy, dz);
      return;
    case ActivationKind::sigmoid:
      return map_output<T>(n, y, dy, dz,
                           [](Vec<T> v, Vec<T> d) __attribute__((always_inline)) { return d * v * (T(1) - v); });
    case ActivationKind::tanh:
      return map_output<T>(n, y, dy, dz, [](Vec<T> v, Vec<T> d) __attribute__((always_inline)) {
        return d * fma(-v, v, broadcast(T(1)));
      });
    case ActivationKind::exponential:
      return map_output<T>(n, y, dy, dz, [](Vec<T> v, Vec<T> d) __attribute__((always_inline)) { return d * v; });
    case ActivationKind::softmax:
      for (index_t r = 0; r < rows; ++r, y += width, dy += width, dz += width) {
        const Vec<T> dot = row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
          return load(y + j, part) * load(dy + j, part);
        });
        map_output<T>(width, y, dy, dz,
                      [&](Vec<T> v, Vec<T> d) __attribute__((always_inline)) { return v * (d - dot); });
      }
      return;
    case ActivationKind::log_softmax:
      for (index_t r = 0; r < rows; ++r, y += width, dy += width, dz += width) {
        const Vec<T> sum = row_sum<T>(
            width, [&](index_t j, auto part) __attribute__((always_inline)) { return load(dy + j, part); });
        map_output<T>(width, y, dy, dz,
                      [&](Vec<T> v, Vec<T> d) __attribute__((always_inline)) { return fma(-exp<T>(v), sum, d); });
      }
      return;
    case ActivationKind::sparsemax:
      for (index_t r = 0; r < rows; ++r, y += width, dy += width, dz += width) {
        Vec<T> count = {};
        const Vec<T> sum = row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
          const IntVec<T> in = load(y + j, part) > T(0);
          count += choose<T>(in, broadcast(T(1)));
          return choose<T>(in, load(dy + j, part));
        });
        const Vec<T> mean = sum / all_sum<T>(count);
        map_output<T>(width, y, dy, dz,
                      [&](Vec<T> v, Vec<T> d) __attribute__((always_inline)) { return choose<T>(v > T(0), d - mean); });
      }
      return;
    case ActivationKind::glu: {
      const index_t half = width / 2;
      for (index_t r = 0; r < rows; ++r, z += width, dy += half, dz += width) {
        for_vectors<T>(half, [&](index_t j, auto part) __attribute__((always_inline)) {
          const Vec<T> d = load(dy + j, part), gate = sigmoid<T>(load(z + half + j, part)), x = load(z + j, part);
          store(dz + j, d * gate, part);
          store(dz + half + j, d * x * gate * (T(1) - gate), part);
        });
      }
      return;
    }
    case ActivationKind::count: return;
  }
}
