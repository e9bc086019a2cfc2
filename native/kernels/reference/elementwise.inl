// The reference kernels of generic/elementwise.inl, and sums.

template <class T>
void dropout(index_t n, const T* x, T* y, double rate, uint64_t key, uint64_t counter, uint64_t first_element) {
  const uint32_t keys[2] = {uint32_t(key), uint32_t(key >> 32)};
  for (index_t i = 0; i < n; ++i) {
    const uint64_t e = first_element + uint64_t(i), block = e / 4;
    const uint32_t c[4] = {uint32_t(block), uint32_t(block >> 32), uint32_t(counter), uint32_t(counter >> 32)};
    uint32_t word[4];
    philox4x32(c, keys, word);
    const bool keep = rate < 1 && double(word[e % 4]) >= rate * 4294967296.0;
    y[i] = keep ? T(x[i] * T(1 / (1 - rate))) : T(0);
  }
}

template <class T>
void affine(index_t rows, index_t width, const T* x, const T* scale, index_t n_scale, const T* offset, index_t n_offset,
            T* y) {
  for (index_t r = 0; r < rows; ++r)
    for (index_t j = 0; j < width; ++j)
      y[r * width + j] = T(double(x[r * width + j]) * scale[n_scale == 1 ? 0 : j] + offset[n_offset == 1 ? 0 : j]);
}

template <class T>
void add(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}
template <class T>
void subtract(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] - b[i];
}
template <class T>
void multiply(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] * b[i];
}
template <class T>
void scale(index_t n, const T* a, T factor, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] * factor;
}
template <class T>
void maximum(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] != a[i] || a[i] > b[i] ? a[i] : b[i];
}
template <class T>
void minimum(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] != a[i] || a[i] < b[i] ? a[i] : b[i];
}
template <class T>
void add_scaled(index_t n, const T* x, T factor, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = T(y[i] + double(factor) * x[i]);
}
template <class T>
void select_backward(index_t n, bool is_max, const T* a, const T* b, const T* dy, T* da, T* db) {
  for (index_t i = 0; i < n; ++i) {
    const double share = a[i] == b[i] ? 0.5 : (is_max ? a[i] > b[i] : a[i] < b[i]) ? 1 : 0;
    const double other = a[i] == b[i] ? 0.5 : (is_max ? b[i] > a[i] : b[i] < a[i]) ? 1 : 0;
    const T d = dy[i];
    if (da) da[i] = T(da[i] + share * d);
    if (db) db[i] = T(db[i] + other * d);
  }
}
template <class T>
void l1l2_backward(index_t n, const T* x, T l1, T l2, T scale, T* dx) {
  for (index_t i = 0; i < n; ++i) dx[i] = T(dx[i] + double(scale) * (l1 * sign(x[i]) + 2.0 * l2 * x[i]));
}

template <class T>
void column_sums(index_t rows, index_t width, const T* x, T* out, bool accumulate) {
  for (index_t j = 0; j < width; ++j) {
    double sum = accumulate ? out[j] : 0;
    for (index_t r = 0; r < rows; ++r) sum += x[r * width + j];
    out[j] = T(sum);
  }
}

template <class T>
double sum(index_t n, const T* x) {
  double s = 0;
  for (index_t i = 0; i < n; ++i) s += x[i];
  return s;
}
template <class T>
double sum_of_squares(index_t n, const T* x) {
  double s = 0;
  for (index_t i = 0; i < n; ++i) s += double(x[i]) * x[i];
  return s;
}
template <class T>
double sum_of_magnitudes(index_t n, const T* x) {
  double s = 0;
  for (index_t i = 0; i < n; ++i) s += std::fabs(double(x[i]));
  return s;
}
