// Whether the tiles of AMX may be used: what the CPU has, what the system allows, whether the bits are ours.
#pragma once
#include <atomic>

#include "densekit/kernels.hpp"

namespace densekit::amx {

// Each null when all is well, else why not, in words that follow "not used: ".
const char* missing();  // by CPUID, XGETBV and the tiles' sizes; asks nothing of the system
const char*
refused();  // asks Linux for the tiles' registers: for all threads, until the process ends or becomes another program
const char* unlike(const Kernels<float>& tiles, const Kernels<float>& portable);  // compares products, bit by bit

// Questions put in order, at the first use and never again: the first answer of any thread is everyone's, since operands are
// packed as it says. No lock, so that a process may fork meanwhile.
class Gate {
 public:
  using Question = const char* (*)();
  constexpr Gate(Question first, Question second, Question third) : questions_{first, second, third} {}

  bool is_open() { return why_closed() == nullptr; }
  const char* why_closed() {
    const char* answer = answer_.load(std::memory_order_acquire);
    if (answer == nullptr) answer = ask();
    return *answer == '\0' ? nullptr : answer;
  }
  bool was_asked() const { return answer_.load(std::memory_order_acquire) != nullptr; }

 private:
  const char* ask();

  const Question questions_[3];
  std::atomic<const char*> answer_{nullptr};  // empty: open
};

}  // namespace densekit::amx
