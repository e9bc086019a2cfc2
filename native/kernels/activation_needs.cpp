#include "densekit/kernels.hpp"

namespace densekit {

ActivationNeeds activation_needs(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::linear: return {.row = false, .pre = false, .post = false};
    case ActivationKind::relu: return {.row = false, .pre = true, .post = true};
    case ActivationKind::sigmoid:
    case ActivationKind::tanh:
    case ActivationKind::exponential: return {.row = false, .pre = false, .post = true};
    case ActivationKind::softmax:
    case ActivationKind::log_softmax:
    case ActivationKind::sparsemax: return {.row = true, .pre = false, .post = true};
    case ActivationKind::glu: return {.row = true, .pre = true, .post = false, .half_width = true};
    default: return {.row = false, .pre = true, .post = false};
  }
}

ActivationNeeds activation_needs(const ActivationSpec& spec) {
  if (spec.kind != ActivationKind::relu) return activation_needs(spec.kind);
  const bool plain = spec.p[0] == 0 && spec.p[1] == __builtin_inf() && spec.p[2] == 0;
  return {.row = false, .pre = !plain, .post = plain};
}

}  // namespace densekit
