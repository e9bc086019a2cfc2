// What a run keeps of its products in bfloat16, packed for the kernels: the kernel of every such dense op for the forward
// (X W) and transposed for the backward (dZ W^T), kept in step with the weights, and the latest dZ for the weight gradient
// (X^T dZ). Inference has the forward ones once weights are prepacked (prepacked.hpp);
// until then each product packs its own, or reads the weights directly for few rows.
#pragma once
#include <vector>

#include "buffer.hpp"
#include "graph.hpp"
#include "program.hpp"
#include "thread_pool.hpp"
#include "weight_store.hpp"

namespace densekit {

template <class T>
class PackedOperands {
 public:
  void prepare(const Graph& graph, const Program& program, const Kernels<T>* kernels, index_t batch);
  // All kernels, before the first step or after weights changed elsewhere.
  void pack_kernels(const WeightStore<T>& moved, PoolLease& pool);
  // A block of a kernel that has just changed, rows x units, row by row. Blocks that begin at multiples of kGrain rows and
  // of kBfloat16Panel units, and end there or at the end, may be packed while others are.
  void pack_kernel(int parameter, const T* block, index_t row, index_t rows, index_t unit, index_t units);
  // From an even row on, to another one or the end.
  void pack_dz(int op, const T* dz, index_t batch_rows, index_t first, index_t last);

  static constexpr index_t kGrain = 2 * kBfloat16Chain;

  // Null: none kept. `unit` and `input` are multiples of kBfloat16Panel.
  const uint32_t* kernel(int parameter, index_t unit) const;
  const uint32_t* transposed(int parameter, index_t input) const;
  const uint32_t* dz(int op, index_t batch_rows, index_t unit) const;

 private:
  static uint32_t* get(const std::vector<uint32_t*>& all, int i) {
    return all.empty() ? nullptr : all[static_cast<std::size_t>(i)];
  }

  const Graph* graph_ = nullptr;
  const Kernels<T>* kernels_ = nullptr;
  std::vector<uint32_t*> forward_, transposed_;  // per parameter
  std::vector<uint32_t*> dz_;                    // per op
  Buffer<uint32_t> arena_;
};

}  // namespace densekit
