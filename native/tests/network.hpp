// A small network with everything a run needs, for the tests and the benchmark of plans.
#pragma once
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <vector>

#include "check.hpp"
#include "runtime/engine.hpp"
#include "runtime/names.hpp"

namespace network {

using namespace densekit;

template <class T>
Source rows_of(const std::vector<T>& data, index_t elements, char type) {
  Source s;
  s.data = reinterpret_cast<const char*>(data.data());
  s.elements = elements;
  s.rows = elements == 0 ? 0 : static_cast<index_t>(data.size()) / elements;
  s.item_size = sizeof(T);
  s.row_stride = elements * s.item_size;
  s.type = type;
  return s;
}

inline int dense(Graph& graph, int x, int kernel, int bias, index_t in, index_t out, const std::string& activation,
                 const std::vector<double>& parameters) {
  Attributes a;
  a.op = "dense";
  a.names["activation"] = activation;
  a.integers = {{"in_features", {in}}, {"out_features", {out}}};
  a.numbers["activation_parameters"] = parameters;
  std::vector<int> weights = {kernel};
  if (bias >= 0) weights.push_back(bias);
  return graph.op({x}, weights, {}, a)[0];
}

template <class T>
struct Mlp {
  Graph graph;
  std::vector<std::vector<T>> weights;
  std::deque<WriteVersion> write_versions;
  std::vector<std::vector<T>> slots;
  std::vector<T> x, y;
  std::vector<int32_t> labels;
  std::vector<int64_t> index;
  std::unique_ptr<Engine> engine;
  index_t in, out;

  // relu between, `last` at the end; softmax is trained on labels, sigmoid on 0/1, anything else on numbers.
  Mlp(const std::vector<index_t>& sizes, const char* last, index_t samples, double dropout = 0, bool bfloat16 = false) {
    check::Random random;
    in = sizes.front();
    out = sizes.back();
    const double inf = std::numeric_limits<double>::infinity();
    int value = graph.input(in);
    graph.compute_in(bfloat16 ? Precision::bfloat16 : Precision::full);
    weights.reserve(2 * sizes.size());
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
      const int kernel = add(random, sizes[i], sizes[i + 1], std::sqrt(3.0 / double(sizes[i])));
      const int bias = add(random, sizes[i + 1], 1, 0.0);
      const bool end = i + 2 == sizes.size();
      if (end && dropout > 0) value = graph.op({value}, {}, {}, {"dropout", {}, {}, {{"rate", {dropout}}}})[0];
      value = end ? dense(graph, value, kernel, bias, sizes[i], sizes[i + 1], last, {})
                  : dense(graph, value, kernel, bias, sizes[i], sizes[i + 1], "relu", {0, inf, 0});
    }
    graph.output(value);
    const std::string kind = last;
    const double nan = std::nan("");
    const LossSpec loss = kind == "softmax"   ? loss_spec("sparse_categorical_crossentropy", {0, nan, 1e-7})
                          : kind == "sigmoid" ? loss_spec("binary_crossentropy", {0, 0, 1e-7})
                                              : loss_spec("mean_squared_error", {});
    graph.loss(0, loss, out, 1.0, "sum_over_batch_size");
    graph.optimizers[0].where = Optimizer::Where::native;
    graph.optimizers[0].spec = optimizer_spec("adam", {0.9, 0.999, 1e-7, 0});
    for (index_t r = 0; r < samples; ++r) {
      for (index_t j = 0; j < in; ++j) x.push_back(T(random.uniform(-1, 1)));
      const int label = random.below(static_cast<int>(out));
      labels.push_back(label);
      for (index_t j = 0; j < out; ++j) y.push_back(kind == "sigmoid" ? T(random.below(2)) : T(random.uniform(-1, 1)));
      index.push_back((r * 7919 + 13) % samples);  // a shuffle, unless samples is a multiple of the prime
    }
    engine = make_engine(graph, sizeof(T) == 8, true);
  }

  int add(check::Random& random, index_t rows, index_t width, double bound) {
    const auto n = static_cast<std::size_t>(rows * width);
    weights.emplace_back(n);
    for (T& w : weights.back()) w = T(random.uniform(-bound, bound));
    const int id = graph.parameter(weights.back().data(), rows, width, true);
    Parameter& p = graph.parameter_at(id);
    p.write_version = &write_versions.emplace_back();
    for (int s = 0; s < 2; ++s) {
      slots.push_back(std::vector<T>(n));
      p.slots[p.n_slots++] = slots.back().data();  // a moved vector keeps its memory
    }
    return id;
  }

  Request request(index_t batch_size, std::vector<double>& losses, const std::vector<double>& rates) const {
    Request r;
    r.inputs = {rows_of(x, in, type_char<T>())};
    r.targets = {graph.losses[0].sparse() ? rows_of(labels, 1, 'i') : rows_of(y, out, type_char<T>())};
    r.weights = {Source{}};
    r.index = index.data();
    r.n = static_cast<index_t>(index.size());
    r.batch_size = batch_size;
    r.keys.assign(static_cast<std::size_t>(graph.random_nodes), 5);
    r.counters.assign(static_cast<std::size_t>(graph.random_nodes), 0);
    r.losses = losses.data();
    r.learning_rates = rates.data();
    return r;
  }

  // `epochs` passes; the total of every step.
  std::vector<double> train(index_t batch_size, int epochs, double rate) {
    const index_t steps = (static_cast<index_t>(index.size()) + batch_size - 1) / batch_size;
    std::vector<double> losses(static_cast<std::size_t>(2 * steps)), rates(static_cast<std::size_t>(steps), rate),
        totals;
    for (int e = 0; e < epochs; ++e) {
      Request r = request(batch_size, losses, rates);
      r.iterations = {e * steps};
      engine->train(r);
      for (index_t s = 0; s < steps; ++s) totals.push_back(losses[static_cast<std::size_t>(2 * s)]);
    }
    return totals;
  }

  std::vector<T> predict(index_t n) {
    std::vector<T> result(static_cast<std::size_t>(n * out), T(-7));
    engine->predict({rows_of(x, in, type_char<T>())}, n, {result.data()}, nullptr);
    return result;
  }
};

}  // namespace network
