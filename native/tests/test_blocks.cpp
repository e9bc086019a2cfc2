// What a product is cut into is taken from the machine, and no bit may show it.
#include "check.hpp"
#include "densekit/blocks.hpp"
#include "kernels/machine.hpp"

#include <algorithm>
#include <cstring>

using namespace check;
using densekit::Blocks;
using densekit::Gemm;

namespace {

struct Shape {
  index_t m, n, k;
};

// Sapphire Rapids.
densekit::Machine two_ports() {
  densekit::Machine m;
  m.l1d = 48 << 10, m.l2 = 2 << 20, m.l3 = 64 << 20, m.fma_ports = 2;
  return m;
}

// As found, and put back at the end.
struct Restore {
  Blocks found = densekit::blocks;
  ~Restore() { densekit::blocks = found; }
};

template <class T>
std::vector<T> product(const densekit::Kernels<T>& kernels, Shape s, bool a_transposed, bool b_transposed,
                       bool accumulate) {
  Random random;
  std::vector<T> a(size_t(s.m * s.k)), b(size_t(s.k * s.n)), bias(size_t(s.n)), c(size_t(s.m * s.n));
  for (auto* v : {&a, &b, &bias, &c})
    for (T& x : *v) x = T(random.uniform(-1, 1));
  Gemm<T> g;
  g.m = s.m, g.n = s.n, g.k = s.k;
  g.a = a.data(), g.a_row = a_transposed ? 1 : s.k, g.a_col = a_transposed ? s.m : 1;
  g.b = b.data(), g.b_row = b_transposed ? 1 : s.n, g.b_col = b_transposed ? s.k : 1;
  g.c = c.data(), g.c_row = s.n, g.bias = bias.data(), g.relu = true, g.accumulate = accumulate;
  Array<T> scratch(kernels.gemm_scratch(g) + 16, 0, T(NAN));
  kernels.gemm(g, reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64));
  return c;
}

template <class T>
bool same(const std::vector<T>& x, const std::vector<T>& y) {
  return std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

// Tails that are less and more than half a vector of every width, rows of no tile and of several, k of one block and of several.
const Shape kShapes[] = {{1, 40, 33},   {3, 130, 50}, {5, 20, 7},   {29, 100, 150},
                         {33, 71, 300}, {64, 13, 90}, {97, 68, 530}};

}  // namespace

TEST(no_tile_shows_in_the_bits) {
  const Restore restore;
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    for (Shape s : kShapes) {
      for (int flags = 0; flags < 8; flags += thinning() > 1 ? 5 : 1) {
        densekit::blocks = Blocks{};
        const std::vector<T> expected = product<T>(kernels, s, flags & 1, flags & 2, flags & 4);
        for (int vectors = 1; vectors <= 4; ++vectors) {
          for (int rows = 1; rows <= 14; rows += thinning() > 1 ? 6 : 1) {
            densekit::blocks.tile_vectors = vectors, densekit::blocks.tile_rows = rows;
            CHECK(same(expected, product<T>(kernels, s, flags & 1, flags & 2, flags & 4)));
          }
        }
      }
    }
  });
}

TEST(no_cache_and_no_number_of_ports_shows_in_the_bits) {
  const Restore restore;
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    for (Shape s : {Shape{29, 100, 150}, Shape{64, 130, 700}, Shape{130, 75, 300}}) {
      for (int flags = 0; flags < 8; flags += thinning() > 1 ? 5 : 1) {
        densekit::blocks = Blocks{};
        const std::vector<T> expected = product<T>(kernels, s, flags & 1, flags & 2, flags & 4);
        for (int ports : {1, 2}) {
          for (index_t size : {1 << 10, 1 << 14, 1 << 18, 1 << 22}) {  // of everything: packed ahead, streamed, direct
            Blocks& b = densekit::blocks = Blocks{};
            b.panel = std::max<index_t>(size / 4, 64 * 4 * 64), b.direct = size, b.broadcast = 4 * size;
            b.prefetch_c = size / 2, b.near_panel = size / 32, b.fma_ports = ports;
            CHECK(same(expected, product<T>(kernels, s, flags & 1, flags & 2, flags & 4)));
          }
        }
        densekit::blocks = densekit::blocks_of(two_ports());
        CHECK(same(expected, product<T>(kernels, s, flags & 1, flags & 2, flags & 4)));
      }
    }
  });
}

TEST(blocks_follow_the_caches) {
  densekit::Machine m = two_ports();
  const Blocks b = densekit::blocks_of(m);
  CHECK(b.panel == 512 << 10 && b.direct == 2 << 20 && b.broadcast == 8 << 20 && b.near_panel == 24 << 10 &&
        b.fma_ports == 2);
  m.l1d = 32 << 10, m.l2 = 1 << 20, m.fma_ports = 1;
  const Blocks here = densekit::blocks_of(m), written;
  CHECK(here.panel == written.panel && here.direct == written.direct && here.broadcast == written.broadcast);
  CHECK(here.prefetch_c == written.prefetch_c && here.near_panel == written.near_panel);
  m.l2 = 256 << 10;  // less than was measured
  CHECK(densekit::blocks_of(m).panel == written.panel);
  m.l2 = 64 << 20;  // shared by many cores
  CHECK(densekit::blocks_of(m).panel == 1 << 20);
}

TEST(the_machine_is_found) {
  const densekit::Machine& m = densekit::machine();
  CHECK(m.l1d >= 4 << 10 && m.l2 >= m.l1d && m.l3 > 0);
  CHECK(m.fma_ports == 1 || m.fma_ports == 2);
  CHECK(densekit::machine_error() == nullptr);
}

CHECK_MAIN()
