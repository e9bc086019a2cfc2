#include "names.hpp"

#include <algorithm>
#include <stdexcept>

namespace densekit {
namespace {

template <class Kind>
void check_table(const std::vector<KindName>& table) {
  if (table.size() != static_cast<std::size_t>(Kind::count)) throw std::logic_error("a table of kind names has a gap");
}

// The spec of `name`; `what` is the word for the message.
template <class Spec, class Kind>
Spec find(const char* what, const std::vector<KindName>& table, const std::string& name,
          const std::vector<double>& parameters) {
  check_table<Kind>(table);
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (name != table[i].name) continue;
    if (parameters.size() != static_cast<std::size_t>(table[i].parameters)) {
      throw std::invalid_argument(std::string(what) + " '" + name + "' takes " + std::to_string(table[i].parameters) +
                                  " parameters, got " + std::to_string(parameters.size()) + ".");
    }
    Spec spec;
    spec.kind = static_cast<Kind>(i);
    std::copy(parameters.begin(), parameters.end(), spec.p);
    return spec;
  }
  std::string choices;
  for (const auto& row : table) choices += (choices.empty() ? "" : ", ") + std::string(row.name);
  throw std::invalid_argument("Unknown " + std::string(what) + " '" + name + "'. Choose from: " + choices + ".");
}

// Which of `table` is called `name`.
std::size_t position(const char* what, const std::vector<const char*>& table, const std::string& name) {
  std::string choices;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (name == table[i]) return i;
    choices += (choices.empty() ? "" : ", ") + std::string(table[i]);
  }
  throw std::invalid_argument("Unknown " + std::string(what) + " '" + name + "'. Choose from: " + choices + ".");
}

}  // namespace

#define DENSEKIT_KIND(name) #name,
const std::vector<const char*>& elementwise_names() {
  static const std::vector<const char*> table = {DENSEKIT_ELEMENTWISE(DENSEKIT_KIND)};
  return table;
}
const std::vector<const char*>& reduction_names() {
  static const std::vector<const char*> table = {DENSEKIT_REDUCTIONS(DENSEKIT_KIND)};
  return table;
}
const std::vector<const char*>& normalization_names() {
  static const std::vector<const char*> table = {DENSEKIT_NORMALIZATIONS(DENSEKIT_KIND)};
  return table;
}
const std::vector<const char*>& merge_names() {
  static const std::vector<const char*> table = {DENSEKIT_MERGES(DENSEKIT_KIND)};
  return table;
}
#undef DENSEKIT_KIND

ElementwiseKind elementwise_kind(const std::string& name) {
  return static_cast<ElementwiseKind>(position("elementwise formula", elementwise_names(), name));
}
ReductionKind reduction_kind(const std::string& name) {
  return static_cast<ReductionKind>(position("reduction", reduction_names(), name));
}
NormalizationKind normalization_kind(const std::string& name) {
  return static_cast<NormalizationKind>(position("normalization", normalization_names(), name));
}
MergeKind merge_kind(const std::string& name) { return static_cast<MergeKind>(position("merge", merge_names(), name)); }

const std::vector<KindName>& activation_names() {
  static const std::vector<KindName> table = {
      {"linear", 0},
      {"relu", 3},
      {"elu", 1},
      {"celu", 1},
      {"selu", 0},
      {"gelu", 1},
      {"silu", 0},
      {"hard_silu", 0},
      {"sigmoid", 0},
      {"hard_sigmoid", 0},
      {"tanh", 0},
      {"hard_tanh", 0},
      {"softplus", 0},
      {"softsign", 0},
      {"exponential", 0},
      {"mish", 0},
      {"log_sigmoid", 0},
      {"squareplus", 1},
      {"hard_shrink", 1},
      {"soft_shrink", 1},
      {"tanh_shrink", 0},
      {"threshold", 2},
      {"sparse_plus", 0},
      {"sparse_sigmoid", 0},
#define DENSEKIT_KIND(name) {#name, 0},
      DENSEKIT_UNARY(DENSEKIT_KIND)
#undef DENSEKIT_KIND
          {"softmax", 0},
      {"log_softmax", 0},
      {"sparsemax", 0},
      {"glu", 0},
  };
  return table;
}

const std::vector<KindName>& loss_names() {
  static const std::vector<KindName> table = {
      {"mean_squared_error", 0},
      {"mean_absolute_error", 0},
      {"binary_crossentropy", 3},
      {"categorical_crossentropy", 3},
      {"sparse_categorical_crossentropy", 3},
      {"mean_absolute_percentage_error", 1},
      {"mean_squared_logarithmic_error", 1},
      {"huber", 1},
      {"log_cosh", 0},
      {"poisson", 1},
      {"kl_divergence", 1},
      {"cosine_similarity", 1},
      {"hinge", 0},
      {"squared_hinge", 0},
      {"categorical_hinge", 0},
      {"binary_focal_crossentropy", 5},
      {"categorical_focal_crossentropy", 5},
      {"categorical_generalized_cross_entropy", 2},
      {"dice", 1},
      {"tversky", 3},
  };
  return table;
}

const std::vector<KindName>& regularizer_names() {
  static const std::vector<KindName> table = {{"none", 0}, {"l1l2", 2}, {"orthogonal", 2}};
  return table;
}

const std::vector<KindName>& constraint_names() {
  static const std::vector<KindName> table = {{"none", 0},     {"non_neg", 0},      {"clip", 2},
                                              {"max_norm", 3}, {"min_max_norm", 5}, {"unit_norm", 2}};
  return table;
}

const std::vector<KindName>& optimizer_names() {
  static const std::vector<KindName> table = {
      {"sgd", 2},  {"rmsprop", 4}, {"adam", 4}, {"adagrad", 1},   {"adadelta", 2}, {"adamax", 3},       {"nadam", 3},
      {"lion", 2}, {"ftrl", 5},    {"lamb", 3}, {"adafactor", 4}, {"muon", 12},    {"schedule_free", 4}};
  return table;
}

ActivationSpec activation_spec(const std::string& kind, const std::vector<double>& parameters) {
  return find<ActivationSpec, ActivationKind>("activation", activation_names(), kind, parameters);
}
LossSpec loss_spec(const std::string& kind, const std::vector<double>& parameters) {
  return find<LossSpec, LossKind>("loss", loss_names(), kind, parameters);
}
RegularizerSpec regularizer_spec(const std::string& kind, const std::vector<double>& parameters) {
  return find<RegularizerSpec, RegularizerKind>("regularizer", regularizer_names(), kind, parameters);
}
ConstraintSpec constraint_spec(const std::string& kind, const std::vector<double>& parameters) {
  return find<ConstraintSpec, ConstraintKind>("constraint", constraint_names(), kind, parameters);
}
OptimizerSpec optimizer_spec(const std::string& kind, const std::vector<double>& parameters) {
  return find<OptimizerSpec, OptimizerKind>("optimizer", optimizer_names(), kind, parameters);
}

}  // namespace densekit
