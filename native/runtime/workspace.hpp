// The memory of a program: one arena cut into a buffer per value, gradient and loss, for batches up to a capacity.
#pragma once
#include <vector>

#include "buffer.hpp"
#include "context.hpp"

namespace densekit {

template <class T>
struct LossBuffers {
  T* target = nullptr;        // [rows, size] of a dense target
  int32_t* labels = nullptr;  // [rows, positions] of a sparse one
  T* weight = nullptr;        // [rows, positions]
  T* row_loss = nullptr;      // [rows, positions]
};

template <class T>
class Workspace {
 public:
  // Lays the buffers out for `rows` rows unless they already hold as many.
  void prepare(const Graph& graph, const Program& program, index_t rows);

  Frame<T> frame() { return {value_.data(), gradient_.data(), saved_.data(), dz_.data(), batch_.data()}; }
  LossBuffers<T>& loss(std::size_t i) { return losses_[i]; }
  double* activity() { return activity_.data(); }

  // Elements an arena needs for `rows` rows of values and what is saved alone, and the addresses in it.
  static index_t frame_elements(const Graph& graph, const Program& program, index_t rows);
  static void lay_out(const Graph& graph, const Program& program, index_t rows, T* arena, T** value, T** saved);

 private:
  index_t capacity_ = -1;
  Buffer<T> arena_;
  Buffer<int32_t> labels_;
  std::vector<double> activity_;
  std::vector<T*> value_, gradient_, saved_, dz_, batch_;
  std::vector<LossBuffers<T>> losses_;
};

}  // namespace densekit
