// Normally distributed numbers.

// The quantile of the standard normal distribution, by Wichura, "Algorithm AS 241" (Applied Statistics 37, 1988), PPND16:
// rational functions of (p - 1/2)^2 in the middle, of sqrt(-log p) in the tails.
template <class T>
DENSEKIT_INLINE Vec<T> normal_quantile(Vec<T> p) {
  constexpr T a[] = {T(3.3871328727963666080e0),  T(1.3314166789178437745e+2), T(1.9715909503065514427e+3),
                     T(1.3731693765509461125e+4), T(4.5921953931549871457e+4), T(6.7265770927008700853e+4),
                     T(3.3430575583588128105e+4), T(2.5090809287301226727e+3)};
  constexpr T b[] = {T(1),
                     T(4.2313330701600911252e+1),
                     T(6.8718700749205790830e+2),
                     T(5.3941960214247511077e+3),
                     T(2.1213794301586595867e+4),
                     T(3.9307895800092710610e+4),
                     T(2.8729085735721942674e+4),
                     T(5.2264952788528545610e+3)};
  constexpr T c[] = {T(1.42343711074968357734e0),  T(4.63033784615654529590e0), T(5.76949722146069140550e0),
                     T(3.64784832476320460504e0),  T(1.27045825245236838258e0), T(2.41780725177450611770e-1),
                     T(2.27238449892691845833e-2), T(7.74545014278341407640e-4)};
  constexpr T d[] = {T(1),
                     T(2.05319162663775882187e0),
                     T(1.67638483018380384940e0),
                     T(6.89767334985100004550e-1),
                     T(1.48103976427480074590e-1),
                     T(1.51986665636164571966e-2),
                     T(5.47593808499534494600e-4),
                     T(1.05075007164441684324e-9)};
  constexpr T e[] = {T(6.65790464350110377720e0),  T(5.46378491116411436990e0),  T(1.78482653991729133580e0),
                     T(2.96560571828504891230e-1), T(2.65321895265761230930e-2), T(1.24266094738807843860e-3),
                     T(2.71155556874348757815e-5), T(2.01033439929228813265e-7)};
  constexpr T f[] = {T(1),
                     T(5.99832206555887937690e-1),
                     T(1.36929880922735805310e-1),
                     T(1.48753612908506148525e-2),
                     T(7.86869131145613259100e-4),
                     T(1.84631831751005468180e-5),
                     T(1.42151175831644588870e-7),
                     T(2.04426310338993978564e-15)};
  const Vec<T> q = p - T(0.5), r = T(0.180625) - q * q;
  const Vec<T> middle = q * polynomial<T>(a, r) / polynomial<T>(b, r);
  const Vec<T> tail = sqrt(-log<T>(q < T(0) ? p : T(1) - p));
  const Vec<T> near = polynomial<T>(c, tail - T(1.6)) / polynomial<T>(d, tail - T(1.6));
  const Vec<T> far = polynomial<T>(e, tail - T(5)) / polynomial<T>(f, tail - T(5));
  return absolute<T>(q) <= T(0.425) ? middle : copy_sign<T>(tail <= T(5) ? near : far, q);
}

// (word + 1/2) / 2^32, in double: in float the words near 2^32 would all be 1.
template <class T>
void gaussian(index_t n, uint64_t key, uint64_t counter, uint64_t first_element, T* y) {
  alignas(64) uint32_t words[4 * kWords];
  alignas(64) double values[4 * kWords + kLanes<double>];
  for (int i = 0; i < kLanes<double>; ++i) values[4 * kWords + i] = 0.5;
  uint64_t block = first_element / 4;
  index_t skip = index_t(first_element % 4);
  while (n > 0) {
    philox_blocks(block, counter, key, words);
    const index_t count = n < 4 * kWords - skip ? n : 4 * kWords - skip;
    for (index_t i = 0; i < 4 * kWords; ++i) values[i] = (double(words[i]) + 0.5) * 0x1p-32;
    for (index_t i = 0; i < 4 * kWords; i += kLanes<double>)
      store(values + i, normal_quantile<double>(load(values + i)));
    for (index_t i = 0; i < count; ++i) y[i] = T(values[skip + i]);
    block += kWords;
    y += count, n -= count, skip = 0;
  }
}
