// A fixed amount of work for an instruction counter: count_plan <workload> <rounds>. See scripts/count_instructions.py.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "network.hpp"

using namespace densekit;
using network::Mlp;

namespace {

constexpr index_t kBatch = 32, kSteps = 10;
constexpr int kFirstCalls = 40;  // by then large kernels are prepacked

int train(const std::vector<index_t>& sizes, const char* last, int rounds) {
  Mlp<float> net(sizes, last, kBatch * kSteps);
  for (int i = 0; i < rounds; ++i) net.train(kBatch, 1, 1e-3);
  return 0;
}

int call(const std::vector<index_t>& sizes, const char* last, int rounds) {
  Mlp<float> net(sizes, last, 1);
  std::vector<float> y(static_cast<std::size_t>(sizes.back()));
  for (int i = 0; i < kFirstCalls + rounds * kSteps; ++i) net.engine->call(net.x.data(), 1, y.data());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  const int rounds = argc == 3 ? std::atoi(argv[2]) : 0;
  if (active_implementation() == nullptr) return std::printf("%s\n", implementation_error()), 1;
  ThreadPool::instance().set_threads(1);
  if (what == "train-20-32-16-1") return train({20, 32, 16, 1}, "sigmoid", rounds);
  if (what == "train-784-128-64-10") return train({784, 128, 64, 10}, "softmax", rounds);
  if (what == "call-128-128-64-10") return call({128, 128, 64, 10}, "softmax", rounds);
  if (what == "call-784-128-64-10") return call({784, 128, 64, 10}, "softmax", rounds);
  std::printf("count_plan: expected a workload and a number of rounds\n");
  return 1;
}
