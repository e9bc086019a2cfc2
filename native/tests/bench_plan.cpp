// Steps of training and calls of inference on the shapes the project promises, or on any; best of several runs.
// bench_plan [threads [name [bf16]]]      a name may be train:784-128-64-10:32[:steps] or call:784-128-64-10:1
#include <chrono>
#include <cstdlib>
#include <sstream>

#include "network.hpp"

using namespace densekit;
using network::Mlp;

namespace {

bool bfloat16 = false;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

void steps(const char* name, const std::vector<index_t>& sizes, const char* last, index_t batch, index_t n_steps) {
  Mlp<float> net(sizes, last, batch * n_steps, 0, bfloat16);
  double best = 1e9, flops = 0;
  for (int run = 0; run < 9; ++run) {
    const double begin = seconds();
    net.train(batch, 1, 1e-3);
    best = std::min(best, (seconds() - begin) / double(n_steps));
  }
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i)
    flops += (i == 0 ? 4.0 : 6.0) * double(batch * sizes[i] * sizes[i + 1]);
  std::printf("train %-28s batch %4ld  %9.2f us  %6.1f GFLOP/s\n", name, long(batch), best * 1e6, flops / best * 1e-9);
}

void calls(const char* name, const std::vector<index_t>& sizes, const char* last, index_t rows) {
  Mlp<float> net(sizes, last, rows, 0, bfloat16);
  std::vector<float> y(static_cast<std::size_t>(rows * sizes.back()));
  const int repeats = static_cast<int>(5 + 2e9 / double(net.graph.flops_per_sample() * rows));
  double best = 1e9;
  for (int run = 0; run < 9; ++run) {
    const double begin = seconds();
    for (int i = 0; i < repeats; ++i) net.engine->call(net.x.data(), rows, y.data());
    best = std::min(best, (seconds() - begin) / repeats);
  }
  std::printf("infer %-28s rows  %4ld  %9.3f us  %6.1f GFLOP/s\n", name, long(rows), best * 1e6,
              double(net.graph.flops_per_sample() * rows) / best * 1e-9);
}

// train:SIZES:BATCH[:STEPS], by default about a tenth of a second a run, or call:SIZES:ROWS.
bool own_shape(const std::string& name) {
  const std::vector<std::string> parts = split(name, ':');
  if (parts.size() < 3) return false;
  std::vector<index_t> sizes;
  for (const std::string& size : split(parts[1], '-')) sizes.push_back(std::atol(size.c_str()));
  const index_t n = std::atol(parts[2].c_str());
  if (sizes.size() < 2 || n < 1) return false;
  double work = 0;
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) work += 3.0 * double(sizes[i] * sizes[i + 1]) * double(n);
  const index_t n_steps = parts.size() > 3 ? std::atol(parts[3].c_str()) : std::max<index_t>(8, index_t(4e9 / work));
  if (parts[0] == "train") steps(parts[1].c_str(), sizes, "softmax", n, n_steps);
  else calls(parts[1].c_str(), sizes, "softmax", n);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) ThreadPool::instance().set_threads(std::atoi(argv[1]));
  const char* only = argc > 2 && std::string(argv[2]) != "all" ? argv[2] : nullptr;
  bfloat16 = argc > 3;
  const auto wanted = [&](const char* name) { return only == nullptr || std::string(only) == name; };
  std::printf("%s, %d threads%s\n", active_implementation()->name, ThreadPool::instance().threads(),
              bfloat16 ? ", bfloat16" : "");
  if (only != nullptr && own_shape(only)) return 0;
  if (wanted("tabular")) steps("20-32-16-1", {20, 32, 16, 1}, "sigmoid", 32, 312);
  if (wanted("policy")) steps("4-64-64-2", {4, 64, 64, 2}, "softmax", 64, 2000);
  if (wanted("mnist")) steps("784-128-64-10", {784, 128, 64, 10}, "softmax", 32, 300);
  if (wanted("mnist128")) steps("784-128-64-10", {784, 128, 64, 10}, "softmax", 128, 100);
  if (wanted("wide")) steps("784-512-512-10", {784, 512, 512, 10}, "softmax", 128, 20);
  if (wanted("vast")) steps("1024-2048-2048-2048-10", {1024, 2048, 2048, 2048, 10}, "softmax", 256, 10);
  if (wanted("call")) {
    for (index_t rows : {1, 32, 1024}) {
      calls("4-16-8-3", {4, 16, 8, 3}, "softmax", rows);
      calls("16-64-64-1", {16, 64, 64, 1}, "linear", rows);
      calls("784-128-64-10", {784, 128, 64, 10}, "softmax", rows);
    }
    calls("784-512-512-10", {784, 512, 512, 10}, "softmax", 1);
  }
  if (wanted("lone")) {
    for (index_t rows : {1, 3, 16, 64}) calls("1024-2048-2048-2048-10", {1024, 2048, 2048, 2048, 10}, "softmax", rows);
  }
  return 0;
}
