// One instruction set's translation unit: the vocabulary, the algorithms, the table. The including .cpp defines
//   DENSEKIT_ISA            the namespace, e.g. isa_v4
//   DENSEKIT_ISA_NAME       "x86-64-v4"
//   DENSEKIT_VECTOR_BYTES   bytes in one vector
//   DENSEKIT_BFLOAT16_ALONE when only the products in bfloat16 are wanted, DENSEKIT_INT8_ALONE: those of int8, DENSEKIT_TILES:
//                           both, by tiles (gemm/tiles.inl)
// These files are compiled with the instruction set's flags, so they must emit nothing that another file could emit
// too: no inline function or template of std::, all of ours in an unnamed namespace.
#include "densekit/blocks.hpp"
#include "kernels/isa/tables.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace densekit::DENSEKIT_ISA {
namespace {

template <int... I>
struct Ints {};
template <int N, int... I>
struct CountUp : CountUp<N - 1, N - 1, I...> {};
template <int... I>
struct CountUp<0, I...> {
  using Type = Ints<I...>;
};
template <int N>
using FirstInts = typename CountUp<N>::Type;

#include "kernels/generic/vector.inl"
//
#ifdef DENSEKIT_TILES
#include "gemm/tiles.inl"
//
#include "gemm/bfloat16_words.inl"
//
#include "gemm/bfloat16_tiles.inl"
//
#include "gemm/int8_pack.inl"
//
#include "gemm/int8_tiles.inl"
#else
#ifndef DENSEKIT_INT8_ALONE
#include "gemm/bfloat16_words.inl"
//
#include "gemm/bfloat16_pack.inl"
//
#include "gemm/bfloat16.inl"
#endif
#ifndef DENSEKIT_BFLOAT16_ALONE
#include "gemm/int8_pack.inl"
//
#include "gemm/int8.inl"
#endif
#endif
#if !defined(DENSEKIT_BFLOAT16_ALONE) && !defined(DENSEKIT_INT8_ALONE) && !defined(DENSEKIT_TILES)
#include "gemm/tile.inl"
//
#include "gemm/product.inl"
//
#include "gemm/pack.inl"
//
#include "gemm/stream.inl"
//
#include "gemm/gemm.inl"
//
#include "kernels/generic/math.inl"
//
#include "kernels/generic/reductions.inl"
//
#include "kernels/generic/activations.inl"
//
#include "kernels/generic/activate.inl"
//
#include "kernels/generic/element_losses.inl"
//
#include "kernels/generic/row_losses.inl"
//
#include "kernels/generic/losses.inl"
//
#include "kernels/generic/elementwise.inl"
//
#include "kernels/generic/formulas.inl"
//
#include "kernels/generic/reduce.inl"
//
#include "kernels/generic/normalization.inl"
//
#include "kernels/generic/gaussian.inl"
//
#include "kernels/generic/optimizers.inl"
//
#include "kernels/generic/constraints.inl"
//
#include "kernels/generic/table.inl"
#endif

}  // namespace

#if defined(DENSEKIT_TILES)
extern constexpr Kernels<float> table_f32 = with_tiled_int8(tiled_table());
#elif defined(DENSEKIT_BFLOAT16_ALONE)
extern constexpr Kernels<float> table_f32 = bfloat16_table();
#elif defined(DENSEKIT_INT8_ALONE)
extern constexpr Kernels<float> table_f32 = int8_table();
#else
extern constexpr Kernels<float> table_f32 = make_table<float>();
extern constexpr Kernels<double> table_f64 = make_table<double>();
#endif

}  // namespace densekit::DENSEKIT_ISA
