#include <utility>

#include "densekit/kernels.hpp"

namespace densekit {
namespace {

// The words of a stream, one after the other.
class Words {
 public:
  Words(uint64_t key, uint64_t counter)
      : key_{uint32_t(key), uint32_t(key >> 32)}, counter_{0, 0, uint32_t(counter), uint32_t(counter >> 32)} {}

  uint32_t next() {
    if (at_ == 4) {
      philox4x32(counter_, key_, words_);
      if (++counter_[0] == 0) ++counter_[1];
      at_ = 0;
    }
    return words_[at_++];
  }

  // Below n, each with the same probability: Lemire, "Fast random integer generation in an interval" (2019), algorithm 5.
  uint32_t below(uint32_t n) {
    uint64_t product = uint64_t(next()) * n;
    if (uint32_t(product) < n) {
      const uint32_t threshold = (0u - n) % n;
      while (uint32_t(product) < threshold) product = uint64_t(next()) * n;
    }
    return uint32_t(product >> 32);
  }

 private:
  uint32_t key_[2], counter_[4], words_[4];
  int at_ = 4;
};

constexpr int kDrawsAhead = 16;  // swaps whose places are prefetched together: a million rows fill no near cache

}  // namespace

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t(0xD2511F53u) * c0, b = uint64_t(0xCD9E8D57u) * c2;
    c0 = uint32_t(b >> 32) ^ c1 ^ k0;
    c1 = uint32_t(b);
    c2 = uint32_t(a >> 32) ^ c3 ^ k1;
    c3 = uint32_t(a);
    k0 += 0x9E3779B9u;  // the golden ratio and sqrt(3) - 1, as in the paper
    k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void philox_words(uint64_t key, uint64_t counter, index_t n, uint32_t* out) {
  Words words(key, counter);
  for (index_t i = 0; i < n; ++i) out[i] = words.next();
}

// Durstenfeld's shuffle, "Algorithm 235" (1964).
void permutation(uint64_t key, uint64_t counter, index_t n, index_t block, int64_t* out) {
  Words words(key, counter);
  for (index_t i = 0; i < n; ++i) out[i] = i;
  for (index_t first = 0; first < n; first += block) {
    int64_t* part = out + first;
    index_t last = (n - first < block ? n - first : block) - 1;
    while (last > 0) {
      uint32_t place[kDrawsAhead];
      const int draws = last < kDrawsAhead ? int(last) : kDrawsAhead;
      for (int d = 0; d < draws; ++d) {
        place[d] = words.below(uint32_t(last - d) + 1);
        __builtin_prefetch(part + place[d], 1);
      }
      for (int d = 0; d < draws; ++d, --last) std::swap(part[last], part[place[d]]);
    }
  }
}

}  // namespace densekit
