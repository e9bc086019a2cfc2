// The machine's limits: multiply-adds by type and vector width, and reads a second, by a number of threads at once. Prints JSON.
//   peak THREADS BYTES...        bytes each thread reads, one size a level of the memory
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "../native/tests/limits.hpp"

namespace {

using limits::now;

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef float Vector __attribute__((vector_size(kBytes)));

// Keeps a value in a register and unknown to the optimiser.
#if defined(__x86_64__)
#define KEEP(v) asm volatile("" : "+x"(v))
#elif defined(__aarch64__)
#define KEEP(v) asm volatile("" : "+w"(v))
#else
#define KEEP(v) asm volatile("" : "+m"(v))
#endif

// Bytes read. From a memory far away asking ahead is faster than what the processor asks by itself: `ahead` bytes, or none.
double read_all(const Vector* from, long n, long rounds, long ahead) {
  Vector s[8] = {};
  for (long r = 0; r < rounds; ++r) {
    for (long i = 0; i + 8 <= n; i += 8) {
      for (int k = 0; k < 8; ++k) {
        if (ahead > 0) __builtin_prefetch(reinterpret_cast<const char*>(from + i + k) + ahead, 0, 2);
        s[k] += from[i + k];
      }
    }
    for (Vector& v : s) KEEP(v);
  }
  return double(kBytes) * double(n / 8 * 8) * double(rounds);
}

// Best sum of rates over laps in which all threads work at once.
template <class Work>
double best_rate(int threads, Work work) {
  double best = 0;
  for (int lap = 0; lap < 7; ++lap) {
    std::vector<double> rate(size_t(threads), 0.0);
    std::vector<std::thread> crew;
    for (int t = 0; t < threads; ++t) {
      crew.emplace_back([&, t] {
        const double start = now();
        double done = 0;
        do done += work(t);
        while (now() - start < 0.02);
        rate[size_t(t)] = done / (now() - start);
      });
    }
    double sum = 0;
    for (std::thread& t : crew) t.join();
    for (double r : rate) sum += r;
    if (sum > best) best = sum;
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  std::printf("{\"threads\": %d, \"units\": [", threads);
  bool first = true;
  for (const limits::Unit& unit : limits::units()) {
    const double flops = best_rate(threads, [&](int) {
      unit.run(20000);
      return 20000 * unit.flops;
    });
    std::printf("%s{\"type\": \"%s\", \"unit\": \"%s\", \"bits\": %d, \"flops\": %.6g}", first ? "" : ", ", unit.type,
                unit.unit, unit.bits, flops);
    first = false;
  }
  std::printf("], \"read\": [");
  for (int i = 2; i < argc; ++i) {
    const long n = std::atol(argv[i]) / kBytes;
    std::vector<Vector*> buffers;
    for (int t = 0; t < threads; ++t) {
      auto* p = static_cast<Vector*>(std::aligned_alloc(4096, (size_t(n) * kBytes + 4095) / 4096 * 4096));
      for (long k = 0; k < n; ++k) p[k] = Vector{} + 1.0f;
      buffers.push_back(p);
    }
    const long rounds = 1 + 4000000 / (n * kBytes);
    double rate = 0;
    for (long ahead : {0L, 4096L}) {
      rate = std::max(rate, best_rate(threads, [&](int t) { return read_all(buffers[size_t(t)], n, rounds, ahead); }));
    }
    std::printf("%s%.6g", i > 2 ? ", " : "", rate);
    for (Vector* p : buffers) std::free(p);
  }
  std::printf("]}\n");
}
