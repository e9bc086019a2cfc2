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
    case ActivationKind::elu:
    case ActivationKind::celu:
    case ActivationKind::selu:
    case ActivationKind::gelu:
    case ActivationKind::silu:
    case ActivationKind::hard_silu:
    case ActivationKind::hard_sigmoid:
    case ActivationKind::hard_tanh:
    case ActivationKind::softplus:
    case ActivationKind::softsign:
    case ActivationKind::mish:
    case ActivationKind::log_sigmoid:
    case ActivationKind::squareplus:
    case ActivationKind::hard_shrink:
    case ActivationKind::soft_shrink:
    case ActivationKind::tanh_shrink:
    case ActivationKind::threshold:
    case ActivationKind::sparse_plus:
    case ActivationKind::sparse_sigmoid:
#define DENSEKIT_KIND(name) case ActivationKind::name:
      DENSEKIT_UNARY(DENSEKIT_KIND)
#undef DENSEKIT_KIND
    case ActivationKind::count: break;
  }
  return {.row = false, .pre = true, .post = false};
}

ActivationNeeds activation_needs(const ActivationSpec& spec) {
  if (spec.kind != ActivationKind::relu) return activation_needs(spec.kind);
  const bool plain = spec.p[0] == 0 && spec.p[1] == __builtin_inf() && spec.p[2] == 0;
  return {.row = false, .pre = !plain, .post = plain};
}

}  // namespace densekit
