// The one interface between the runtime and the kernels: a table of functions per instruction set and
// element type. Kernels know nothing of Python, plans or threads; none allocates, throws or prints.
//
// Letters: B batch rows, I inputs, O units; M, N, K in GEMM. All arrays are dense and row-major unless a stride
// is a parameter; strides count elements. No alignment is required. Pointers may alias only where said.
//
// Same bits: every output element is one sequential chain over K (or over the batch, for a weight gradient),
// whatever the tile, the number of rows in the call or the range a thread was given.
#pragma once
#include <cstddef>
#include <cstdint>

#include "densekit/specs.hpp"

namespace densekit {

using index_t = std::ptrdiff_t;

// C[M,N] = (accumulate ? C : 0) + A[M,K] B[K,N] (+ bias[N]), then max(., 0) if relu.
// With K == 0 the product is zero. C is not read unless `accumulate`. `bias` and `relu` apply once, at the end.
// The chain starts from zero, or from C when `accumulate`: K may be cut in two calls without changing a bit.
template <class T>
struct Gemm {
  index_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  index_t a_row = 0, a_col = 1;  // A[i,p] = a[i * a_row + p * a_col]; one of the two is 1
  const T* b = nullptr;
  index_t b_row = 0, b_col = 1;  // B[p,j] = b[b_step(p) + j * b_col]; one of the two is 1
  // Above 0, with b_row == 1: every b_panel rows of B lie in a piece of their own; K is a whole number of pieces.
  index_t b_panel = 0, b_panel_stride = 0;
  index_t b_step(index_t p) const { return b_panel > 0 ? p / b_panel * b_panel_stride + p % b_panel : p * b_row; }
  T* c = nullptr;
  index_t c_row = 0;        // C[i,j] = c[i * c_row + j]
  const T* bias = nullptr;  // null: none
  bool accumulate = false;
  bool relu = false;
  // Memory read after the product, prefetched bit by bit meanwhile: prefetch_size elements from each; null ends the list.
  const T* prefetch[5] = {};
  index_t prefetch_size = 0;
};

// A B packed for products in bfloat16 may be cut at multiples of so many columns.
constexpr index_t kBfloat16Panel = 64;
// Steps of k that a chain of such a product has: two of them make a block.
constexpr index_t kBfloat16Chain = 16;

// C[i,j] = sum over p of A[i,p] B[p,j], whole numbers, exact, / (b_scale[j] * a_scale[i]) (+ bias[j]).
template <class T>
struct Int8Gemm {
  index_t m = 0, n = 0, k = 0;
  const uint32_t* a = nullptr;  // m rows that int8_quantize wrote, int8_words(k) apart
  const T* a_scale = nullptr;   // [m]
  const uint8_t* b = nullptr;   // what int8_pack wrote
  const T* b_scale = nullptr;   // [n]
  const T* bias = nullptr;      // [n]; null: none
  T* c = nullptr;
  index_t c_row = 0;
};

// What is saved of an activation for its backward.
struct SavedForBackward {
  bool pre = true;   // z, its input
  bool post = true;  // y, its output
};
SavedForBackward saved_for_backward(ActivationKind kind);
// The same with the numbers known: of a plain relu (no slope, maximum or threshold) the output alone is saved, so that
// the input may be overwritten. activate_backward of a plain relu takes whichever of y and z is not null.
SavedForBackward saved_for_backward(const ActivationSpec& spec);
constexpr bool takes_whole_rows(ActivationKind kind) {
  return kind == ActivationKind::softmax || kind == ActivationKind::log_softmax || kind == ActivationKind::sparsemax ||
         kind == ActivationKind::glu;
}
// Whether the output is half as wide as the input.
constexpr bool halves_width(ActivationKind kind) { return kind == ActivationKind::glu; }

// Nadam's momentum at a step, from 1: beta_1 (1 - 0.96^step / 2).
double nadam_momentum(double beta_1, int64_t step);
// base^exponent by squaring, exponent >= 0.
double power(double base, int64_t exponent);

// One optimizer update over a flat run of n weights of one parameter, in Keras' order:
// g = (g + l1*sign(w) + 2*l2*w) * clip_scale, clipped to +-clip_value; decay; update; EMA; elementwise constraint.
template <class T>
struct Update {
  index_t n = 0;
  T* w = nullptr;
  const T* g = nullptr;
  T* slot[3] = {nullptr, nullptr, nullptr};  // in the order of OptimizerKind; absent ones are skipped over
  T* ema = nullptr;
  T learning_rate = 0;
  int64_t step = 1;          // 1 for the first update
  double power[2] = {0, 0};  // p[0]^step and p[1]^step of the optimizer: bias correction, the same all over a step
  T product = 1;             // nadam: of its momenta so far, this step's included
  T l1 = 0, l2 = 0;          // regularizer folded into the gradient
  T clip_scale = 1;          // from clip_norm / global_clip_norm
  double weight_decay = 0;   // of this parameter; that of the spec is for whoever sets this
  T* direction =
      nullptr;  // lamb, adafactor, muon: receives the step before it is scaled, w only decays; direction == g allowed
  bool clamp = false;  // elementwise constraint: w = min(max(w, low), high)
  T low = 0, high = 0;
};

// An operand of an elementwise formula: `stride` is 1 along an array, 0 where one number meets them all.
template <class T>
struct Operand {
  const T* data = nullptr;
  index_t stride = 1;
};

template <class T>
struct Kernels {
  const char* isa;  // "x86-64-v4", ...
  int lanes;        // elements in one vector

  // GEMM. `scratch` holds gemm_scratch(m, n, k) elements, 64-byte aligned; may be null when that is 0.
  index_t (*gemm_scratch)(const Gemm<T>&);
  void (*gemm)(const Gemm<T>&, T* scratch);

  // Products in bfloat16 (8 significant bits, float32's range), float alone: every operand is rounded to nearest even,
  // z = round((accumulate ? C : 0) + round(A) round(B)), C = max(round(z + round(bias)), 0). The sum is in float32, over blocks
  // of 2 kBfloat16Chain steps of k: sum += (chain of the first half) + (chain of the second), each gemm's chain from zero.
  // B comes as it is, or packed (then g.b is not read): bfloat16_pack writes part of a B of k x n to its
  // place, rows first_k..last_k and columns first_n..last_n, b the first of them; first_k is even, last_k too or k;
  // first_n is a multiple of 16, last_n too or n. Columns from j on, a multiple of kBfloat16Panel, begin at packed + bfloat16_packed(k, j).
  index_t (*bfloat16_scratch)(const Gemm<T>&, bool is_packed);
  void (*bfloat16_gemm)(const Gemm<T>&, const uint32_t* packed_b, T* scratch);
  index_t (*bfloat16_packed)(index_t k, index_t n);  // words of a packed B
  void (*bfloat16_pack)(const T* b, index_t b_row, index_t b_col, index_t k, index_t n, index_t first_k, index_t last_k,
                        index_t first_n, index_t last_n, uint32_t* packed);
  void (*bfloat16_round)(index_t n, const T* x, T* y);  // y == x allowed
  // To the nearest even float16 (11 significant bits, above 65504 infinity, down to 2^-24), float alone; y == x allowed.
  void (*float16_round)(index_t n, const T* x, T* y);

  // Products of int8, float alone. int8_quantize takes a row of k floats: scale = high / (max |x| + epsilon), words hold
  // round(x * scale) within [low, high], to even where two are equally near; a row that is not finite gets the scale NaN. int8_pack takes a
  // B of k x n, rows first, to int8_packed(k, n) bytes, aligned to 4. The sums must fit into 32 bits.
  index_t (*int8_words)(index_t k);
  void (*int8_quantize)(index_t k, const T* x, T epsilon, T low, T high, uint32_t* words, T* scale);
  index_t (*int8_packed)(index_t k, index_t n);
  void (*int8_pack)(index_t k, index_t n, const int8_t* b, uint8_t* packed);
  void (*int8_gemm)(const Int8Gemm<T>&);

  // y[rows, width] = f(z); y == z allowed. glu: y is [rows, width / 2] and must not alias.
  void (*activate)(const ActivationSpec&, index_t rows, index_t width, const T* z, T* y);
  // dz = dy * f'(z); z or y may be null where saved_for_backward says so; dz == dy allowed (not for glu).
  void (*activate_backward)(const ActivationSpec&, index_t rows, index_t width, const T* z, const T* y, const T* dy,
                            T* dz);

  // row_loss[r] = loss of row r; no weight applied. Exactly one of y_true [rows,width] and labels [rows] is read,
  // labels by the kinds that take them. When dy is not null: dy[r,:] = scale * (weight ? weight[r] : 1) * d row_loss / d y_pred.
  void (*loss)(const LossSpec&, index_t rows, index_t width, const T* y_true, const int32_t* labels, const T* y_pred,
               const T* weight, T scale, T* row_loss, T* dy);
  // The fused pairs softmax + (sparse) categorical and sigmoid + binary cross-entropy: reads the logits z, writes the
  // probabilities y and d/dz. spec.p[0] (from_logits) is ignored. y or dz may be null; y == z allowed.
  void (*loss_from_logits)(const LossSpec&, index_t rows, index_t width, const T* y_true, const int32_t* labels,
                           const T* z, const T* weight, T scale, T* row_loss, T* y, T* dz);

  // keep/scale by 1/(1-rate); element e of the tensor is kept when philox(key, counter, e) >= rate * 2^32.
  // e runs from first_element. Forward and backward are the same call. y == x allowed. rate == 1 gives zeros.
  void (*dropout)(index_t n, const T* x, T* y, double rate, uint64_t key, uint64_t counter, uint64_t first_element);

  // Elementwise helpers (y may alias any input).
  void (*affine)(index_t rows, index_t width, const T* x, const T* scale, index_t n_scale, const T* offset,
                 index_t n_offset, T* y);  // y = x * scale + offset; n_* is 1 or width
  void (*add)(index_t n, const T* a, const T* b, T* y);
  void (*subtract)(index_t n, const T* a, const T* b, T* y);
  void (*multiply)(index_t n, const T* a, const T* b, T* y);
  void (*scale)(index_t n, const T* a, T factor, T* y);
  void (*maximum)(index_t n, const T* a, const T* b, T* y);
  void (*minimum)(index_t n, const T* a, const T* b, T* y);
  void (*add_scaled)(index_t n, const T* x, T factor, T* y);  // y += factor * x
  // dy_a[i] += dy[i] where a[i] wins; a tie splits the gradient in halves, as jnp.maximum does. is_max or minimum.
  void (*select_backward)(index_t n, bool is_max, const T* a, const T* b, const T* dy, T* da, T* db);
  // dx += scale * (l1 * sign(x) + 2 * l2 * x): activity regularizer.
  void (*l1l2_backward)(index_t n, const T* x, T l1, T l2, T scale, T* dx);

  // y = f(x[0], x[1], x[2]); y may be an operand of step 1.
  void (*elementwise)(ElementwiseKind, index_t n, const Operand<T>* x, T* y);
  // d[k] = dy * slope of f by operand k, n elements whatever the operand's step; null where not wanted, d[k] == dy allowed
  // for the last that is.
  void (*elementwise_backward)(ElementwiseKind, index_t n, const Operand<T>* x, const T* dy, T* const* d);
  // x[outer, n, inner] -> y[outer, inner]; a sum is multiplied by `scale`.
  void (*reduce)(ReductionKind, index_t outer, index_t n, index_t inner, T scale, const T* x, T* y);
  // The extremum's gradient is shared by all that reach it. dx must not alias.
  void (*reduce_backward)(ReductionKind, index_t outer, index_t n, index_t inner, T scale, const T* x, const T* y,
                          const T* dy, T* dx);
  // y = normalized x * gamma + beta, row by row; gamma, beta may be null. stats, if not null, gets two numbers a row: what
  // was subtracted and what was multiplied by. y == x allowed.
  void (*normalize)(NormalizationKind, index_t rows, index_t width, const T* x, const T* gamma, const T* beta,
                    double epsilon, T* y, T* stats);
  void (*normalize_backward)(NormalizationKind, index_t rows, index_t width, double epsilon, const T* x, const T* stats,
                             const T* gamma, const T* dy, T* dx);
  // d gamma[j] (+)= sum over rows of dy[r,j] * normalized x[r,j], rows in order.
  void (*normalize_gradient)(index_t rows, index_t width, const T* x, const T* stats, const T* dy, T* d_gamma,
                             bool accumulate);
  // Standard normal numbers: element e is the quantile of word e of (key, counter), by Wichura's AS 241.
  void (*gaussian)(index_t n, uint64_t key, uint64_t counter, uint64_t first_element, T* y);

  // out[j] (+)= sum over rows of a[r,j] * b[r,j], rows in order.
  void (*column_dots)(index_t rows, index_t width, const T* a, const T* b, T* out, bool accumulate);
  // out[j] (+)= sum over rows of x[r,j], rows in order.
  void (*column_sums)(index_t rows, index_t width, const T* x, T* out, bool accumulate);
  // Fixed order for any caller: 4096-element blocks, summed in double.
  double (*sum)(index_t n, const T* x);
  double (*sum_of_squares)(index_t n, const T* x);
  double (*sum_of_magnitudes)(index_t n, const T* x);

  // One pass over each weight.
  void (*update)(const OptimizerSpec&, const Update<T>&);
  // Norm constraints over w[rows, width] in place (a bias is [n, 1] with axis 0: one column).
  void (*constrain)(const ConstraintSpec&, index_t rows, index_t width, T* w);
  // OrthogonalRegularizer: returns the value; adds its gradient to g (null: value only). scratch: rows*rows + rows*width
  // (mode rows) or width*width + rows*width (columns) elements.
  double (*orthogonal)(const RegularizerSpec&, index_t rows, index_t width, const T* w, T* g, T* scratch);

  // Adafactor's mean squares follow the gradient, old ones by the share `keep`; g is divided by their root. Returns the sum
  // of its squares then. v[rows, width]; r[rows] and c[width], or both null: then v itself is the mean.
  double (*adafactor)(const OptimizerSpec&, double keep, index_t rows, index_t width, T* g, T* v, T* r, T* c);

  // dst[n] = src[n] converted to T; `type` is a NumPy type character: ? b B h H i I l L q Q e f d.
  void (*convert)(index_t n, char type, const void* src, T* dst);
};

// Philox4x32-10 (Salmon et al., SC11). key -> (k0 = low, k1 = high 32 bits); block e/4 of the tensor has
// counter (c0 = low(e/4), c1 = high(e/4), c2 = low(counter), c3 = high(counter)); element e takes word e % 4.
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

// The first n words of (key, counter).
void philox_words(uint64_t key, uint64_t counter, index_t n, uint32_t* out);
// 0..n-1 in a random order, shuffled inside every `block` of them, by the words of (key, counter) in turn. n < 2^32.
void permutation(uint64_t key, uint64_t counter, index_t n, index_t block, int64_t* out);

// The table object: best supported first. `DENSEKIT_ISA` picks by name at first use.
struct Implementation {
  const char* name;       // "x86-64-v4"
  const char* requires_;  // "AVX-512 F, BW, CD, DQ, VL", for messages
  bool (*supported)();
  const Kernels<float>* f32;
  const Kernels<double>* f64;
};
const Implementation* const* implementations(int* count);  // all built ones, best first
const Implementation* active_implementation();             // null when the forced name is unknown or unsupported
const char* implementation_error();                        // one sentence, when null

}  // namespace densekit
