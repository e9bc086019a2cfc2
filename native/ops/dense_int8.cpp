// Dense on whole numbers: each row of inputs is quantized by its largest absolute value, Y = sums / (scale of the row *
// scale of the unit) + b. dX = dY W^T with the floats W that the whole numbers stand for: rounding is passed over.
#include <algorithm>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

template <class T>
void dense_int8_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  if constexpr (sizeof(T) == sizeof(float)) {  // a plan in float64 is refused where it is made
    const Op& op = c.op(i);
    const auto& s = op.get<Int8Spec>();
    const Int8Weights& weights = *s.weights;
    const index_t m = rows * op.rows_per_sample, words = c.kernels->int8_words(s.in_features);
    const T* x = c.value(op.inputs[0], row);
    T* space = thread_scratch<T>().gemm.reserve(m * words + m);
    auto* a = reinterpret_cast<uint32_t*>(space);
    T* scales = space + m * words;
    for (index_t r = 0; r < m; ++r) {
      c.kernels->int8_quantize(s.in_features, x + r * s.in_features, static_cast<T>(s.epsilon), static_cast<T>(s.low),
                               static_cast<T>(s.high), a + r * words, scales + r);
    }
    Int8Gemm<T> g;
    g.m = m, g.n = s.out_features, g.k = s.in_features;
    g.a = a, g.a_scale = scales;
    g.b = weights.packed.data(), g.b_scale = weights.scale.data();
    g.bias = s.bias < 0 ? nullptr : c.data(op.parameter(s.bias));
    g.c = c.value(op.outputs[0], row), g.c_row = s.out_features;
    c.kernels->int8_gemm(g);
  }
}

// Inputs whose weights are made floats at a time: 64 x 1,024 of them fill half of a small L2.
constexpr index_t kFloatInputs = 64;

template <class T>
void dense_int8_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<Int8Spec>();
  const Int8Weights& weights = *s.weights;
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const index_t units = s.out_features;
  Gemm<T> g;
  g.m = rows * op.rows_per_sample, g.k = units;
  g.a = c.gradient(op.outputs[0], row), g.a_row = units;
  g.b_row = 1, g.b_col = units;
  g.c_row = s.in_features;
  g.accumulate = write == GradientWrite::add;
  for (index_t first = 0; first < s.in_features; first += kFloatInputs) {
    g.n = std::min(kFloatInputs, s.in_features - first);
    T* floats = thread_scratch<T>().block.reserve(g.n * units);
    const int8_t* whole = weights.kernel.data() + first * units;
    for (index_t p = 0; p < g.n; ++p) {
      for (index_t j = 0; j < units; ++j)
        floats[p * units + j] = static_cast<T>(whole[p * units + j]) / static_cast<T>(weights.scale[std::size_t(j)]);
    }
    g.b = floats;
    g.c = c.gradient(op.inputs[0], row) + first;
    run_gemm(*c.kernels, g);
  }
}

template <class T>
void dense_int8_gradient(const Context<T>& c, int i, std::size_t, index_t batch, ParameterRows, T* g, bool accumulate) {
  const Op& op = c.op(i);  // of the bias
  c.kernels->column_sums(batch * op.rows_per_sample, op.get<Int8Spec>().out_features, c.gradient(op.outputs[0], 0), g,
                         accumulate);
}

}  // namespace

// bytes: kernel [in, out]. numbers: scale [out], epsilon, low, high. integers: in_features, out_features, and
// the position of the parameter `bias` [out], -1 for none.
std::vector<index_t> dense_int8_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require(op.inputs.size() == 1 && op.parameters.size() <= 2, attributes,
          "takes one value and at most two parameters.");
  Int8Spec s;
  s.in_features = attributes.integer("in_features"), s.out_features = attributes.integer("out_features");
  const std::vector<int8_t>& kernel = attributes.byte_list("kernel");
  const std::vector<double>& scale = attributes.number_list("scale");
  require(s.in_features > 0 && s.out_features > 0, attributes, "sizes must be above 0.");
  // 127 * 128 * k is the largest sum that 32 bits must hold.
  require(s.in_features <= (index_t(1) << 31) / (127 * 128), attributes, "more inputs than 32 bits can sum.");
  require(static_cast<index_t>(kernel.size()) == s.in_features * s.out_features, attributes,
          "the kernel is not of in_features * out_features bytes.");
  require(static_cast<index_t>(scale.size()) == s.out_features, attributes, "a scale for each unit is needed.");
  const index_t size = size_of(graph, op.inputs[0]);
  require(size % s.in_features == 0, attributes, "the value is not of whole rows of in_features elements.");
  op.rows_per_sample = size / s.in_features;
  s.epsilon = attributes.number("epsilon"), s.low = attributes.number("low"), s.high = attributes.number("high");
  require(s.low >= -128 && s.high <= 127 && s.low <= s.high, attributes, "the range is not one of int8.");
  s.bias = optional_parameter(graph, op, attributes, "bias", s.out_features);
  const Implementation* implementation = active_implementation();
  require(implementation != nullptr, attributes, "there is no implementation to pack the kernel for.");
  auto weights = std::make_shared<Int8Weights>();
  const Kernels<float>& kernels = *implementation->f32;
  weights->packed.resize(static_cast<std::size_t>(kernels.int8_packed(s.in_features, s.out_features)));
  kernels.int8_pack(s.in_features, s.out_features, kernel.data(), weights->packed.data());
  weights->kernel = kernel;
  weights->scale.assign(scale.begin(), scale.end());
  s.weights = std::move(weights);
  op.spec = s;
  return {op.rows_per_sample * s.out_features};
}

DENSEKIT_DEFINE_OP(dense_int8, .forward = dense_int8_forward<T>, .backward = dense_int8_backward<T>,
                   .parameter_gradient = dense_int8_gradient<T>)

}  // namespace densekit::ops
