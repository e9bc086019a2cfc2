// Noise: normal, y = x + stddev * n or x * (1 + stddev * n), or uniform, y = x + low + (high - low) * u. n and u are functions
// of (key, counter, element), so the backward makes them anew.
#include <algorithm>
#include <cmath>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

constexpr index_t kPiece = 1024;

// use(first element, how many, their noise) for all elements of the rows.
template <class T, class Use>
void for_noise(const Context<T>& c, int i, index_t row, index_t rows, Use use) {
  const Op& op = c.op(i);
  const index_t size = c.size(op.outputs[0]), n = rows * size;
  alignas(64) T noise[kPiece];
  for (index_t done = 0; done < n; done += kPiece) {
    const index_t piece = std::min(kPiece, n - done);
    c.kernels->gaussian(piece, c.keys[op.random_node], c.counters[op.random_node],
                        static_cast<uint64_t>(row * size + done), noise);
    use(done, piece, noise);
  }
}

bool draws(const Op& op, bool training) { return training || op.always_draws; }

// The words of a block of the stream of Philox4x64-10 with this key: Salmon et al., "Parallel random numbers" (SC11),
// table 2.
void philox4x64(uint64_t block, uint64_t key0, uint64_t key1, uint64_t out[4]) {
  __extension__ using Wide = unsigned __int128;
  uint64_t c0 = block, c1 = 0, c2 = 0, c3 = 0;
  for (int round = 0; round < 10; ++round) {
    const Wide a = Wide(0xD2E7470EE14C6C93u) * c0, b = Wide(0xCA5A826395121157u) * c2;
    c0 = uint64_t(b >> 64) ^ c1 ^ key0;
    c1 = uint64_t(b);
    c2 = uint64_t(a >> 64) ^ c3 ^ key1;
    c3 = uint64_t(a);
    key0 += 0x9E3779B97F4A7C15u;  // the golden ratio and sqrt(3) - 1
    key1 += 0xBB67AE8584CAA73Bu;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// y += uniform numbers, those of NumPy's generator on a Philox4x64 stream with (key, counter) as its key: element e is word
// e % 4 of block 1 + e / 4, its upper 53 bits over 2^53.
template <class T>
void add_uniform(const NoiseSpec& s, uint64_t key, uint64_t counter, uint64_t first, index_t n, T* y) {
  const T least = static_cast<T>(s.low), most = std::nextafter(static_cast<T>(s.high), least);
  uint64_t words[4];
  for (index_t i = 0; i < n; ++i) {
    const uint64_t e = first + static_cast<uint64_t>(i);
    if (i == 0 || e % 4 == 0) philox4x64(1 + e / 4, key, counter, words);
    const double u = static_cast<double>(words[e % 4] >> 11) * 0x1p-53;
    y[i] += std::min(static_cast<T>(s.low + (s.high - s.low) * u), most);
  }
}

template <class T>
void noise_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<NoiseSpec>();
  const T* x = c.value(op.inputs[0], row);
  T* y = c.value(op.outputs[0], row);
  std::memcpy(y, x, static_cast<std::size_t>(rows * c.size(op.inputs[0])) * sizeof(T));
  if (!draws(op, c.training)) return;
  if (s.uniform) {
    const index_t size = c.size(op.outputs[0]);
    return add_uniform(s, c.keys[op.random_node], c.counters[op.random_node], static_cast<uint64_t>(row * size),
                       rows * size, y);
  }
  for_noise(c, i, row, rows, [&](index_t first, index_t n, T* noise) {
    if (s.multiplies) c.kernels->multiply(n, noise, x + first, noise);
    c.kernels->add_scaled(n, noise, static_cast<T>(s.stddev), y + first);
  });
}

template <class T>
void noise_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<NoiseSpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const T* dy = c.gradient(op.outputs[0], row);
  pass_gradient(c, op.inputs[0], write, row, rows, dy);
  if (!draws(op, c.training) || !s.multiplies) return;
  T* dx = c.gradient(op.inputs[0], row);
  for_noise(c, i, row, rows, [&](index_t first, index_t n, T* noise) {
    c.kernels->multiply(n, noise, dy + first, noise);
    c.kernels->add_scaled(n, noise, static_cast<T>(s.stddev), dx + first);
  });
}

}  // namespace

// integers: multiplies, uniform; always, draws_a_step. numbers: stddev; low, high of uniform ones.
std::vector<index_t> noise_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  NoiseSpec s{attributes.number("stddev"), attributes.flag("multiplies"), attributes.flag("uniform")};
  require(s.stddev >= 0, attributes, "stddev must be 0 or more.");
  if (s.uniform) s.low = attributes.number("low"), s.high = attributes.number("high");
  op.spec = s;
  make_random(graph, op, attributes);
  return {size_of(graph, op.inputs[0])};
}

DENSEKIT_DEFINE_OP(noise, .forward = noise_forward<T>, .backward = noise_backward<T>)

}  // namespace densekit::ops
