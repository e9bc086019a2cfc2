// The record of an op: what it is, what goes in and out, the parameters it owns and the state it writes, its attributes,
// and what a run must keep for it.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "densekit/kernels.hpp"
#include "densekit/specs.hpp"

namespace densekit {

// What values are rounded to, in buffers of the plan's type: bfloat16 has float32's range, products packed and, where the
// CPU has them, instructions of its own; float16 has more digits, and products in float32 on rounded operands.
enum class Precision : uint8_t { full, bfloat16, float16 };

enum class OpKind {
#define DENSEKIT_OP(name) name,
#include "ops/table.inl"
#undef DENSEKIT_OP
  host
};

// row: any split of the rows will do. batch: needs all rows before its forward, and again before its backward.
enum class Scope : uint8_t { row, batch };

struct DenseSpec {
  int kernel = -1, bias = -1;  // parameter ids
  index_t in_features = 0, out_features = 0;
  index_t rows_per_sample = 1;  // rows of the product that one sample makes
  ActivationSpec activation;
};

struct ActivateSpec {
  ActivationSpec activation;
  index_t width = 0;  // elements of the axis it runs along
};

struct DropoutSpec {
  double rate = 0;
};

struct AffineSpec {  // its constants are the scale, then the offset
  index_t width = 0, n_scale = 1, n_offset = 1;
};

#define DENSEKIT_MERGES(X) X(add) X(subtract) X(multiply) X(average) X(maximum) X(minimum)
enum class MergeKind : uint8_t {
#define DENSEKIT_KIND(name) name,
  DENSEKIT_MERGES(DENSEKIT_KIND)
#undef DENSEKIT_KIND
};
struct MergeSpec {
  MergeKind kind = MergeKind::add;
};

struct ConcatenateSpec {
  std::vector<index_t> inners;  // contiguous elements each input gives in turn
};

struct ActivitySpec {  // l1 sum|x| + l2 sum x^2 + linear sum x
  double l1 = 0, l2 = 0, linear = 0;
  bool sums = false;  // is not divided by the batch
};

// Where an elementwise formula finds an operand: the value inputs[at], parameters[at], or constants[at...]; and how far
// apart its elements are along each axis of the result, 0 where one meets many.
struct OperandSpec {
  enum class From : uint8_t { input, parameter, constant } from = From::input;
  index_t at = 0;
  index_t offset = 0;  // of its first element in the array
  std::vector<index_t> strides;
};
struct ElementwiseSpec {
  ElementwiseKind kind = ElementwiseKind::add;
  std::vector<index_t> shape;  // of the result, axes that may be one merged
  std::vector<OperandSpec> operands;
};

struct ReduceSpec {  // x[outer, n, inner] -> y[outer, inner], per sample
  ReductionKind kind = ReductionKind::sum;
  index_t outer = 1, n = 1, inner = 1;
  double scale = 1;
};

struct RearrangeSpec {  // the result in pieces: `n` elements from `from` on, or zeros where that is -1
  struct Piece {
    index_t from, n;
  };
  std::vector<Piece> pieces;
  bool covers = false;  // every element of the input occurs exactly once
};

struct ProductSpec {  // per sample and batch entry: C[m, n] = A B; a transposed operand is stored as [k, m] or [n, k]
  index_t batches = 1, m = 1, k = 1, n = 1;
  bool a_transposed = false, b_transposed = false;
  bool a_shared = false, b_shared = false;  // one matrix for all entries
};

struct NormalizationSpec {
  NormalizationKind kind = NormalizationKind::layer;
  int gamma = -1, beta = -1;  // positions among the parameters
  double epsilon = 0;
};

struct BatchNormalizationSpec {
  int gamma = -1, beta = -1, mean = -1, variance = -1;  // positions among the parameters
  double epsilon = 0, momentum = 0;
};

struct
    NoiseSpec {  // y = x + stddev * n or, if it multiplies, x * (1 + stddev * n); if uniform, x + low + (high - low) * u
  double stddev = 0;
  bool multiplies = false, uniform = false;
  double low = 0, high = 1;
};

struct BatchSumSpec {
  bool mean = false;  // divided by the rows
};

// Per sample y[e, m, n] = sum over k of x[e, m, k] * w[offsets[e] + k * k_stride + n * n_stride], w a parameter.
struct WeightProductSpec {
  std::vector<index_t> offsets;  // where the matrix of each entry e begins
  index_t m = 1, k = 1, n = 1;
  index_t k_stride = 1, n_stride = 1;  // one of them is 1
};

struct Int8Weights {
  std::vector<int8_t> kernel;   // [in, out], which gradients are taken by
  std::vector<uint8_t> packed;  // the same for the products of this process
  std::vector<float> scale;     // per unit
};
struct Int8Spec {
  std::shared_ptr<const Int8Weights> weights;
  index_t in_features = 0, out_features = 0;
  double epsilon = 0, low = -127, high = 127;  // of the inputs' quantizer
  int bias = -1;                               // position among the parameters
};

using OpSpec =
    std::variant<std::monostate, DenseSpec, ActivateSpec, DropoutSpec, AffineSpec, MergeSpec, ConcatenateSpec,
                 ActivitySpec, ElementwiseSpec, ReduceSpec, RearrangeSpec, ProductSpec, NormalizationSpec,
                 BatchNormalizationSpec, NoiseSpec, BatchSumSpec, WeightProductSpec, Int8Spec>;

// Aligned to lines of the cache, which makes it 256 bytes: the address of one is a shift away.
struct alignas(64) Op {
  OpKind kind = OpKind::dense;
  Scope scope = Scope::row;
  Precision precision = Precision::full;  // results, and gradients of inputs, are rounded to it
  bool always_draws = false;              // in inference, too
  bool bfloat16() const { return precision == Precision::bfloat16; }
  bool float16() const { return precision == Precision::float16; }
  std::vector<int> inputs, outputs;  // value ids
  std::vector<int> parameters;       // parameters it reads, and gives gradients of
  std::vector<int> state;            // parameters it writes, once a training step is done
  OpSpec spec;
  index_t saved = 0;           // elements a sample that its forward saves for its backward
  index_t batch_elements = 0;  // what an op over the batch keeps, and per block of kBatchBlock rows
  index_t block_elements = 0;
  std::vector<double> constants;  // in the plan's type: Context::constants
  index_t rows_per_sample = 1;    // of ops along the last axis: its rows in a sample
  index_t width = 0;              // and its elements
  int random_node = -1;           // of ops that draw
  int draws_a_step = 1;           // of its generator: so far apart are the counters of two steps
  int host_node = -1;

  int parameter(int position) const { return position < 0 ? -1 : parameters[static_cast<std::size_t>(position)]; }
  // The spec of the op's kind; no other may be asked for. Unchecked: ops read it for every few rows.
  template <class Spec>
  const Spec& get() const {
    const Spec* found = std::get_if<Spec>(&spec);
    if (found == nullptr) __builtin_unreachable();
    return *found;
  }
  const DenseSpec& dense() const { return get<DenseSpec>(); }
};

// Reductions over the batch are taken in blocks of so many rows, and the blocks added in order: bits do not depend on
// who computed which.
constexpr index_t kBatchBlock = 64;

// What Graph::op is given beside values and parameters; each throws std::invalid_argument when it is not there.
struct Attributes {
  std::string op;
  std::map<std::string, std::string> names;
  std::map<std::string, std::vector<index_t>> integers;
  std::map<std::string, std::vector<double>> numbers;
  std::map<std::string, std::vector<int8_t>> bytes = {};

  const std::string& name(const std::string& key) const { return find(names, key); }
  const std::vector<index_t>& integer_list(const std::string& key) const { return find(integers, key); }
  const std::vector<double>& number_list(const std::string& key) const { return find(numbers, key); }
  const std::vector<int8_t>& byte_list(const std::string& key) const { return find(bytes, key); }
  index_t integer(const std::string& key) const { return only(integer_list(key), key); }
  double number(const std::string& key) const { return only(number_list(key), key); }
  bool flag(const std::string& key) const { return integers.count(key) != 0 && integer(key) != 0; }
  [[noreturn]] void fail(const std::string& sentence) const;

 private:
  template <class Table>
  const typename Table::mapped_type& find(const Table& table, const std::string& key) const {
    const auto at = table.find(key);
    if (at == table.end()) fail("needs the attribute '" + key + "'.");
    return at->second;
  }
  template <class List>
  typename List::value_type only(const List& list, const std::string& key) const {
    if (list.size() != 1) fail("attribute '" + key + "' takes one number.");
    return list[0];
  }
};

}  // namespace densekit
