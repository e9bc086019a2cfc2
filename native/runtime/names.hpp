// The only place where names meet kinds.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "densekit/specs.hpp"
#include "runtime/op.hpp"

namespace densekit {

struct KindName {
  const char* name;
  int parameters;  // how many numbers the spec carries
};

// Row i names the kind with value i.
const std::vector<KindName>& activation_names();
const std::vector<KindName>& loss_names();
const std::vector<KindName>& regularizer_names();
const std::vector<KindName>& constraint_names();
const std::vector<KindName>& optimizer_names();

const std::vector<const char*>& elementwise_names();
const std::vector<const char*>& reduction_names();
const std::vector<const char*>& normalization_names();
const std::vector<const char*>& merge_names();

// Throw std::invalid_argument naming the choices when the name or the number of parameters is wrong.
ActivationSpec activation_spec(const std::string& kind, const std::vector<double>& parameters);
LossSpec loss_spec(const std::string& kind, const std::vector<double>& parameters);
RegularizerSpec regularizer_spec(const std::string& kind, const std::vector<double>& parameters);
ConstraintSpec constraint_spec(const std::string& kind, const std::vector<double>& parameters);
OptimizerSpec optimizer_spec(const std::string& kind, const std::vector<double>& parameters);
ElementwiseKind elementwise_kind(const std::string& name);
ReductionKind reduction_kind(const std::string& name);
NormalizationKind normalization_kind(const std::string& name);
MergeKind merge_kind(const std::string& name);

}  // namespace densekit
