// Training by tiles in processes of their own, which ask for the tiles anew: the bits, and that nothing that a process may go through
// gets it killed. On a CPU without AMX none is used; `make test-amx` emulates one that has it.
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#if defined(__linux__) && defined(__x86_64__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#endif

#include "densekit/tiles.hpp"
#include "network.hpp"
#include "tiles.hpp"

using namespace densekit;
using namespace tiles;

#if defined(__linux__) && defined(__x86_64__)
namespace {

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

int say(uint64_t hash) {
  const char* note = tiles_note();
  std::printf("hash %016llx, tiles %s\n", static_cast<unsigned long long>(hash), note != nullptr ? note : "none");
  std::fflush(stdout);
  return 0;
}
int train_and_say() { return say(hash_of_training()); }

bool deny_permission() {
  sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                           BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 1),
                           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog filter = {sizeof program / sizeof *program, program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}
bool have_small_signal_stack() {
  alignas(64) static char stack[4096];
  stack_t small = {};
  small.ss_sp = stack, small.ss_size = sizeof stack;
  return sigaltstack(&small, nullptr) == 0;
}

// A signal that computes a product of its own, in the middle of whatever it meets.
Product* interrupting = nullptr;
std::vector<float>* undisturbed = nullptr;
volatile sig_atomic_t interruptions = 0, of_products = 0, disturbances = 0;
void interrupt(int, siginfo_t*, void* context) {
  // The system put what the registers held on the stack: those of tiles are among it if they were in use.
  const char* saved = reinterpret_cast<const char*>(static_cast<ucontext_t*>(context)->uc_mcontext.fpregs);
  uint32_t magic;
  uint64_t held;
  std::memcpy(&magic, saved + 464, sizeof magic);
  std::memcpy(&held, saved + 512, sizeof held);
  if (magic == FP_XSTATE_MAGIC1 && (held >> 17 & 3) != 0) of_products = of_products + 1;
  interrupting->run(*active_implementation()->f32);
  interruptions = interruptions + 1;
  if (interrupting->c != *undisturbed) disturbances = disturbances + 1;
}
int train_interrupted() {
  const Kernels<float>& kernels = *active_implementation()->f32;
  interrupting = new Product(kernels, 17, 20, 40);
  undisturbed = new std::vector<float>(product(kernels, 17, 20, 40));
  struct sigaction action = {};
  action.sa_sigaction = interrupt;
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often = {{0, 2000}, {0, 2000}}, never = {};
  setitimer(ITIMER_REAL, &often, nullptr);
  const uint64_t hash = hash_of_training();
  bool same = true;
  const bool by_tiles = tiles_note() != nullptr && std::strcmp(tiles_note(), "used") == 0;
  for (int round = 0; round < 5000 && (interruptions < 10 || (by_tiles && of_products < 3)); ++round)
    same &= hash_of_training() == hash;
  setitimer(ITIMER_REAL, &never, nullptr);
  return disturbances == 0 && same && (!by_tiles || of_products > 0) ? say(hash) : 1;
}

// Threads that are there before anybody asks.
int train_after_threads() {
  static std::atomic<bool> begin{false};
  const Kernels<float>& kernels = *active_implementation()->f32;
  const std::vector<float> wanted = product(kernels_named(kBase), 40, 40, 200);
  std::vector<std::thread> threads;
  std::atomic<int> unlike{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!begin) std::this_thread::yield();
      for (int round = 0; round < 20; ++round) unlike += product(kernels, 40, 40, 200) != wanted;
    });
  }
  begin = true;
  for (std::thread& t : threads) t.join();
  return unlike == 0 ? train_and_say() : 1;
}

int train_in(const std::string& way, const char* self) {
  if (way == "denied" && !deny_permission()) std::printf("the system cannot deny it\n");
  if (way == "small signal stack" && !have_small_signal_stack()) std::printf("the system has no such stack\n");
  if (implementation_error() != nullptr) return std::printf("error %s\n", implementation_error()), 1;
  if (way == "interrupted") return train_interrupted();
  if (way == "threads") return train_after_threads();
  if (way == "fork before" && in_child(train_and_say) != 0) return 1;
  if (train_and_say() != 0) return 1;
  if (way == "fork after") return in_child(train_and_say);
  if (way == "exec") execl(self, self, "hash", "plainly", nullptr);
  return 0;
}

std::string said_by(const char* isa, const char* way) {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  self[length > 0 ? length : 0] = '\0';
  const std::string command = std::string("DENSEKIT_ISA=") + isa + " '" + self + "' hash '" + way + "'";
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  char line[512];
  while (std::fgets(line, sizeof line, pipe) != nullptr) text += line;
  const int status = pclose(pipe);
  return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? text : text + "killed\n";
}
std::string hash_in(const std::string& line) { return line.substr(0, line.find(',')); }
}  // namespace

TEST(training_has_the_same_bits_by_tiles) {
  if (!has_base()) return;
  const std::string wanted = said_by(kBase, "plainly");
  CHECK(wanted.rfind("hash ", 0) == 0);
  CHECK(hash_in(said_by("software-tiles", "plainly")) == hash_in(wanted));
  if (is_there())
    CHECK(said_by("x86-64-v4-amx", "plainly") == hash_in(said_by("x86-64-v4", "plainly")) + ", tiles used\n");
}

// Whatever a process goes through before or while it trains: the bits are the same, and no instruction is met that the system would
// kill it for. Where there are tiles, they are used unless the system says no.
TEST(no_way_to_train_is_killed) {
  if (!has_base()) return;
  const std::string wanted = hash_in(said_by("", "plainly"));
  for (const char* way : {"interrupted", "threads", "fork before", "fork after", "exec"}) {
    std::string text = said_by("", way);
    int lines = 0;
    for (; !text.empty(); ++lines) {
      const std::size_t end = text.find('\n');
      const std::string line = text.substr(0, end);
      text.erase(0, end == std::string::npos ? end : end + 1);
      CHECK(hash_in(line) == wanted);
      if (is_there()) CHECK(line.find(", tiles used") != std::string::npos);
    }
    CHECK(lines == (way[0] == 'f' || way[0] == 'e' ? 2 : 1));
  }
  for (const char* way : {"denied", "small signal stack"}) {
    const std::string text = said_by("", way);
    const bool was_denied = text.rfind("the system", 0) != 0;
    CHECK(text.find(wanted + ", tiles ") != std::string::npos && text.find("killed") == std::string::npos);
    if (was_denied && is_there()) CHECK(text.find(", tiles not used: ") != std::string::npos);
    if (was_denied) CHECK(said_by("x86-64-v4-amx", way).rfind("error DENSEKIT_ISA: ", 0) == 0);
  }
}
#endif

int main(int argc, char** argv) {
  if (argc == 1) return check::run_all();
#if defined(__linux__) && defined(__x86_64__)
  return train_in(argv[2], argv[0]);
#else
  return (void)argv, 0;
#endif
}
