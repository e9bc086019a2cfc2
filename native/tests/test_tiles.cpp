// The products by tiles, with tiles in software: their bits, what is said of them, and the gate before those of the CPU. That they
// agree with the definition is tested with all instruction sets, in test_gemm and test_int8.
#include <csignal>
#include <cstring>
#include <string>
#include <thread>
#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.hpp"
#include "densekit/tiles.hpp"
#include "kernels/amx.hpp"
#include "network.hpp"

using namespace densekit;

namespace {

const Kernels<float>& kernels_named(const char* name) {
  int count = 0;
  const Implementation* const* all = implementations(&count);
  for (int i = 0; i < count; ++i)
    if (std::strcmp(all[i]->name, name) == 0) return *all[i]->f32;
  return *all[count - 1]->f32;
}
const Kernels<float>& software() { return kernels_named("software-tiles"); }

#if defined(__x86_64__)
constexpr const char* kBase = "x86-64-v3";  // what software-tiles is but for its products
#elif defined(__aarch64__)
constexpr const char* kBase = "neon";
#else
constexpr const char* kBase = "generic";
#endif
bool has_base() {
  int count = 0;
  const Implementation* const* all = implementations(&count);
  for (int i = 0; i < count; ++i)
    if (std::strcmp(all[i]->name, kBase) == 0) return all[i]->supported();
  return false;
}

// A step of training in bfloat16 on several threads: weights after it, and predictions.
uint64_t hash_of_training() {
  ThreadPool::instance().set_threads(3);
  uint64_t hash = 14695981039346656037u;
  const auto add = [&](const std::vector<float>& values) {
    for (const float value : values) {
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      hash = (hash ^ bits) * 1099511628211u;
    }
  };
  const auto train = [&](const std::vector<index_t>& sizes, index_t batch) {
    network::Mlp<float> net(sizes, "softmax", 3 * batch, 0.2, true);
    net.train(batch, 1, 1e-2);
    for (const auto& weights : net.weights) add(weights);
    std::vector<float> y(static_cast<std::size_t>(batch * sizes.back()));
    net.engine->call(net.x.data(), batch, y.data());
    add(y);
    net.engine->call(net.x.data(), 1, y.data());
    add(y);
  };
  train({30, 70, 9}, 37);
  train({200, 130, 65, 10}, 64);
  train({70, 300, 300, 3}, 50);
  return hash;
}

}  // namespace

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
namespace {
// What a child process ends with; a signal is -1.
template <class F>
int in_child(F f) {
  const pid_t child = fork();
  if (child == 0) _exit(f());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
bool is_there() { return amx::missing() == nullptr; }
}  // namespace

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

TEST(children_and_threads_use_what_was_opened) {
  const Implementation* chosen = active_implementation();
  const auto works = [chosen] { return amx::unlike(*chosen->f32, kernels_named("reference")) == nullptr; };
  if (std::strcmp(chosen->name, "reference") == 0) return;
  CHECK(works());
  CHECK(in_child([&] { return works() ? 0 : 1; }) == 0);
  bool in_thread = false;
  std::thread([&] { in_thread = works(); }).join();
  CHECK(in_thread);
  CHECK((tiles_note() != nullptr) == (std::strcmp(chosen->name, "x86-64-v4-amx") == 0));
}

// Another program asks anew: the same training with and without tiles, all else equal.
TEST(training_has_the_same_bits_by_tiles) {
  if (!has_base()) return;
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  CHECK(length > 0);
  self[length > 0 ? length : 0] = '\0';
  const auto hash_by = [&](const char* isa) {
    const std::string command = std::string("DENSEKIT_ISA=") + isa + " '" + self + "' hash";
    std::string text;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return text;
    char line[256];
    while (std::fgets(line, sizeof line, pipe) != nullptr) text += line;
    pclose(pipe);
    return text;
  };
  const std::string wanted = hash_by(kBase);
  CHECK(wanted.rfind("hash ", 0) == 0);
  CHECK(hash_by("software-tiles") == wanted);
  if (is_there()) CHECK(hash_by("x86-64-v4-amx") == hash_by("x86-64-v4"));
}
#endif

int main(int argc, char**) {
  if (argc == 1) return check::run_all();
  std::printf("hash %016llx\n", static_cast<unsigned long long>(hash_of_training()));
  return 0;
}
