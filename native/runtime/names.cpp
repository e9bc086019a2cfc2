#include "names.hpp"

#include <algorithm>
#include <stdexcept>

namespace densekit {
namespace {

// A spec has room for the numbers of each of its kinds.
template <class Spec>
constexpr int kRoom = sizeof(Spec::p) / sizeof(double);
#define DENSEKIT_ELEMENT(name, numbers) static_assert(numbers <= kRoom<ActivationSpec>);
#define DENSEKIT_ACTIVATION(name, numbers) static_assert(numbers <= kRoom<ActivationSpec>);
#define DENSEKIT_LOSS(name, numbers) static_assert(numbers <= kRoom<LossSpec>);
#define DENSEKIT_REGULARIZER(name, numbers) static_assert(numbers <= kRoom<RegularizerSpec>);
#define DENSEKIT_CONSTRAINT(name, numbers) static_assert(numbers <= kRoom<ConstraintSpec>);
#define DENSEKIT_OPTIMIZER(name, numbers) static_assert(numbers <= kRoom<OptimizerSpec>);
#include "densekit/kinds.inl"

// The spec of `name`; `what` is the word for the message.
template <class Spec, class Kind>
Spec find(const char* what, const std::vector<KindName>& table, const std::string& name,
          const std::vector<double>& parameters) {
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
#define DENSEKIT_ELEMENT(name, numbers) {#name, numbers},
#define DENSEKIT_ACTIVATION(name, numbers) {#name, numbers},
#include "densekit/kinds.inl"
  };
  return table;
}
const std::vector<KindName>& loss_names() {
  static const std::vector<KindName> table = {
#define DENSEKIT_LOSS(name, numbers) {#name, numbers},
#include "densekit/kinds.inl"
  };
  return table;
}
const std::vector<KindName>& regularizer_names() {
  static const std::vector<KindName> table = {
#define DENSEKIT_REGULARIZER(name, numbers) {#name, numbers},
#include "densekit/kinds.inl"
  };
  return table;
}
const std::vector<KindName>& constraint_names() {
  static const std::vector<KindName> table = {
#define DENSEKIT_CONSTRAINT(name, numbers) {#name, numbers},
#include "densekit/kinds.inl"
  };
  return table;
}
const std::vector<KindName>& optimizer_names() {
  static const std::vector<KindName> table = {
#define DENSEKIT_OPTIMIZER(name, numbers) {#name, numbers},
#include "densekit/kinds.inl"
  };
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
