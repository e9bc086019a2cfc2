// The products by tiles, with tiles in software and by the instructions themselves: their bits, what is said of them, and the gate
// before those of the CPU. That they agree with the definition is tested with all instruction sets, in test_gemm and test_int8.
#include <atomic>
#include <cstring>
#include <thread>

#include "densekit/tiles.hpp"
#include "kernels/isa/tables.hpp"
#include "tiles.hpp"
#if DENSEKIT_BUILD_AMX
#include "emulated_tiles.hpp"
#endif

using namespace densekit;
using namespace tiles;

TEST(products_by_software_tiles_pass_the_check_before_the_first_use) {
  CHECK(!has_base() || amx::unlike(software(), kernels_named("reference")) == nullptr);
  CHECK(!has_base() || amx::unlike(software(), kernels_named(kBase)) == nullptr);
}

namespace {
bool was_changed = false;
// Each a fault that tiles could have.
void last_bit(const Gemm<float>& g, const uint32_t* packed, float* scratch) {
  software().bfloat16_gemm(g, packed, scratch);
  uint32_t bits;
  float& last = g.c[(g.m - 1) * g.c_row + g.n - 1];
  std::memcpy(&bits, &last, sizeof bits);
  bits ^= 0x10000u;
  std::memcpy(&last, &bits, sizeof bits);
  was_changed = true;
}
float rounded(float x) {
  float y;
  software().bfloat16_round(1, &x, &y);
  return y;
}
void one_chain(const Gemm<float>& g, const uint32_t* packed, float* scratch) {
  if (packed != nullptr) return software().bfloat16_gemm(g, packed, scratch);
  for (index_t i = 0; i < g.m; ++i) {
    for (index_t j = 0; j < g.n; ++j) {
      float& c = g.c[i * g.c_row + j];
      float sum = g.accumulate ? c : 0;
      for (index_t p = 0; p < g.k; ++p)
        sum = std::fma(rounded(g.a[i * g.a_row + p * g.a_col]), rounded(g.b[p * g.b_row + j * g.b_col]), sum);
      sum = rounded(rounded(sum) + rounded(g.bias[j]));
      c = g.relu && sum < 0 ? 0 : sum;
    }
  }
  was_changed = true;
}
void one_more(const Int8Gemm<float>& g) {
  software().int8_gemm(g);
  g.c[0] += 1;
  was_changed = true;
}
}  // namespace

TEST(the_check_finds_every_other_bit) {
  if (!has_base()) return;
  const Kernels<float>& portable = kernels_named(kBase);
  const auto finds = [&](const Kernels<float>& broken) {
    was_changed = false;
    return amx::unlike(broken, portable) != nullptr && was_changed;
  };
  Kernels<float> broken = software();
  broken.bfloat16_gemm = last_bit;
  CHECK(finds(broken));
  broken.bfloat16_gemm = one_chain;
  CHECK(finds(broken));
  broken = software();
  broken.int8_gemm = one_more;
  CHECK(finds(broken));
}

namespace {
int asked[3];
const char* first_yes() { return ++asked[0], nullptr; }
const char* second_yes() { return ++asked[1], nullptr; }
const char* second_no() { return ++asked[1], "refused"; }
const char* third_yes() { return ++asked[2], nullptr; }
const char* third_no() { return ++asked[2], "unlike"; }
void forget() { std::memset(asked, 0, sizeof asked); }
}  // namespace

TEST(the_gate_asks_in_order_and_once) {
  forget();
  amx::Gate open(first_yes, second_yes, third_yes);
  CHECK(!open.was_asked() && open.is_open() && open.was_asked() && open.is_open());
  CHECK(asked[0] == 1 && asked[1] == 1 && asked[2] == 1);
  forget();
  amx::Gate denied(first_yes, second_no, third_yes);
  CHECK(!denied.is_open() && std::strcmp(denied.why_closed(), "refused") == 0);
  CHECK(asked[0] == 1 && asked[1] == 1 && asked[2] == 0);
  forget();
  amx::Gate unlike(first_yes, second_yes, third_no);
  CHECK(!unlike.is_open() && std::strcmp(unlike.why_closed(), "unlike") == 0 && asked[2] == 1);
}

TEST(threads_get_one_answer) {
  for (int round = 0; round < 20; ++round) {
    static std::atomic<int> turn;
    turn = 0;
    // Every other question is denied, as if the process changed meanwhile.
    amx::Gate gate([]() -> const char* { return nullptr; },
                   []() -> const char* { return ++turn % 2 == 0 ? nullptr : "refused"; },
                   []() -> const char* { return nullptr; });
    bool open[4];
    std::thread threads[4];
    for (int i = 0; i < 4; ++i) threads[i] = std::thread([&gate, &open, i] { open[i] = gate.is_open(); });
    for (std::thread& t : threads) t.join();
    CHECK(open[0] == open[1] && open[1] == open[2] && open[2] == open[3] && open[3] == gate.is_open());
  }
}

#if defined(__linux__) && defined(__x86_64__)
// On a CPU without AMX the questions get their answers, and no instruction of it is met; on one with it, the products run.
TEST(the_system_is_asked_without_harm) {
  CHECK(in_child([] { return (amx::refused() == nullptr) == is_there() ? 0 : 1; }) == 0);
  // A signal stack as small as old programs have: the registers would not fit into its frame.
  CHECK(in_child([] {
          alignas(64) static char stack[2048];
          stack_t small = {};
          small.ss_sp = stack, small.ss_size = sizeof stack;
          if (sigaltstack(&small, nullptr) != 0) return 0;  // the system itself refuses such a stack
          return amx::refused() != nullptr ? 0 : 1;
        }) == 0);
}

#if DENSEKIT_BUILD_AMX
// The very code for AMX: on its tiles, or with its exceptions answered.
TEST(products_by_the_instructions_have_the_bits_of_the_portable_ones) {
  bool has_rest = false;
  int count = 0;
  const Implementation* const* all = implementations(&count);
  for (int i = 0; i < count; ++i) has_rest |= std::strcmp(all[i]->name, "x86-64-v4-bf16") == 0 && all[i]->supported();
  if (!has_rest) return;
  CHECK(in_child([] {
          const emulated::Tiles answered;
          if (is_there() && amx::refused() != nullptr) return 1;
          if (amx::unlike(isa_v4_amx::table_f32, isa_v4::table_f32) != nullptr) return 2;
          for (const index_t k : {64, 4200}) {  // that many steps are packed in two pieces
            const std::vector<float> got = product(isa_v4_amx::table_f32, 37, 50, k);
            if (got != product(isa_v4::table_f32, 37, 50, k)) return 3;
          }
          if (is_there() == (emulated::instructions > 0)) return 4;
          return emulated::tiles.configured || has_tiles() ? 5 : 0;  // released
        }) == 0);
}
#endif

TEST(children_and_threads_use_what_was_opened) {
  const Implementation* chosen = active_implementation();
  const auto works = [chosen] {
    return amx::unlike(*chosen->f32, kernels_named("reference")) == nullptr && !has_tiles();
  };
  if (std::strcmp(chosen->name, "reference") == 0) return;
  CHECK(works());
  CHECK(in_child([&] { return works() ? 0 : 1; }) == 0);
  bool in_thread = false;
  std::thread([&] { in_thread = works(); }).join();
  CHECK(in_thread);
  CHECK((tiles_note() != nullptr) == (std::strcmp(chosen->name, "x86-64-v4-amx") == 0));
}
#endif

CHECK_MAIN()
