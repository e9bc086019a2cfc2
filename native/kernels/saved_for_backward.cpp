#include "densekit/kernels.hpp"

namespace densekit {

SavedForBackward saved_for_backward(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::linear: return {.pre = false, .post = false};
    case ActivationKind::relu: return {.pre = true, .post = true};
    case ActivationKind::sigmoid:
    case ActivationKind::tanh:
    case ActivationKind::exponential: return {.pre = false, .post = true};
    case ActivationKind::softmax:
    case ActivationKind::log_softmax:
    case ActivationKind::sparsemax: return {.pre = false, .post = true};
    case ActivationKind::glu: return {.pre = true, .post = false};
    case ActivationKind::gelu:
#define DENSEKIT_ELEMENT(name, numbers) case ActivationKind::name:
#include "densekit/kinds.inl"
    case ActivationKind::count: break;
  }
  return {.pre = true, .post = false};
}

SavedForBackward saved_for_backward(const ActivationSpec& spec) {
  if (spec.kind != ActivationKind::relu) return saved_for_backward(spec.kind);
  const bool plain = spec.p[0] == 0 && spec.p[1] == __builtin_inf() && spec.p[2] == 0;
  return {.pre = !plain, .post = plain};
}

}  // namespace densekit
