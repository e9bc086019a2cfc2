#include "ops/ops.hpp"

namespace densekit {

template <class T>
void forward(const Context<T>& c, int i, index_t row, index_t rows) {
  switch (c.op(i).kind) {
    case OpKind::dense: return ops::dense_forward(c, i, row, rows);
    case OpKind::activation: return ops::activation_forward(c, i, row, rows);
    case OpKind::dropout: return ops::dropout_forward(c, i, row, rows);
    case OpKind::affine: return ops::affine_forward(c, i, row, rows);
    case OpKind::concatenate: return ops::concatenate_forward(c, i, row, rows);
    case OpKind::activity: return ops::activity_forward(c, i, row, rows);
    case OpKind::host: return;  // a stage of its own
    default: return ops::merge_forward(c, i, row, rows);
  }
}

template <class T>
void backward(const Context<T>& c, int i, index_t row, index_t rows) {
  switch (c.op(i).kind) {
    case OpKind::dense: return ops::dense_backward(c, i, row, rows);
    case OpKind::activation: return ops::activation_backward(c, i, row, rows);
    case OpKind::dropout: return ops::dropout_backward(c, i, row, rows);
    case OpKind::affine: return ops::affine_backward(c, i, row, rows);
    case OpKind::concatenate: return ops::concatenate_backward(c, i, row, rows);
    case OpKind::activity: return ops::activity_backward(c, i, row, rows);
    case OpKind::host: return;
    default: return ops::merge_backward(c, i, row, rows);
  }
}

template void forward<float>(const Context<float>&, int, index_t, index_t);
template void forward<double>(const Context<double>&, int, index_t, index_t);
template void backward<float>(const Context<float>&, int, index_t, index_t);
template void backward<double>(const Context<double>&, int, index_t, index_t);

}  // namespace densekit
