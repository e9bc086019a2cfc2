// The instructions of AMX on CPUs that lack them: the exceptions that they raise are caught, the instructions decoded and done by
// tiles in software. So any CPU with AVX512-BF16 runs the very code that is meant for those with AMX. A microsecond each.
#pragma once
#include <csignal>
#include <cstdint>
#include <cstring>

#include <ucontext.h>

namespace emulated {
namespace {

#include "gemm/software_tiles.inl"

thread_local SoftwareTiles tiles;
thread_local long instructions = 0;  // done so far

// General registers by the number that instructions know them by.
constexpr int kRegisters[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

// A VEX prefix of three bytes, an opcode, and a tile or a memory operand.
struct Instruction {
  int kind = 0;  // the opcode, then 0 to 3 for no prefix, 66, F3, F2
  bool in_memory = false;
  int reg = 0, rm = 0, vvvv = 0;
  uint64_t address = 0, index = 0;
  const uint8_t* end = nullptr;
};

Instruction decode(const uint8_t* code, const greg_t* registers) {
  const auto value = [registers](int number) { return uint64_t(registers[kRegisters[number]]); };
  Instruction i;
  if (code[0] != 0xC4 || (code[1] & 0x1F) != 2) return i;
  i.kind = code[3] << 4 | (code[2] & 3);
  i.vvvv = ~code[2] >> 3 & 15;
  const int mod = code[4] >> 6, index_8 = ~code[1] >> 3 & 8, base_8 = ~code[1] >> 2 & 8;
  i.reg = code[4] >> 3 & 7, i.rm = code[4] & 7;
  i.end = code + 5;
  i.in_memory = mod != 3;
  if (!i.in_memory) return i;
  int base = i.rm;
  if (i.rm == 4) {
    const int sib = *i.end++, number = (sib >> 3 & 7) | index_8;
    base = sib & 7;
    if (number != 4) i.index = value(number) << (sib >> 6);
  }
  int32_t far = 0;
  if (mod == 2 || (mod == 0 && base == 5)) {
    std::memcpy(&far, i.end, sizeof far);
    i.end += sizeof far;
  } else if (mod == 1) {
    far = int8_t(*i.end++);
  }
  if (mod != 0 || base != 5) i.address = value(base | base_8);
  else if (i.rm == 5) i.address = uint64_t(i.end);
  i.address += uint64_t(int64_t(far));
  return i;
}

bool run(const Instruction& i) {
  auto* const at = reinterpret_cast<void*>(i.address);
  switch (i.kind | i.in_memory << 12) {
    case 0x1490: return tiles.configure(reinterpret_cast<void*>(i.address + i.index)), true;
    case 0x0490: return tiles.release(), true;
    case 0x0493: return tiles.zero(i.reg), true;
    case 0x14B3: return tiles.load(i.reg, at, ptrdiff_t(i.index)), true;
    case 0x14B2: return tiles.store(i.reg, at, ptrdiff_t(i.index)), true;
    case 0x05C2: return tiles.dot_bfloat16(i.reg, i.rm, i.vvvv), true;
    case 0x05E3: return tiles.dot_int8(i.reg, i.rm, i.vvvv), true;
    default: return false;
  }
}

void answer(int, siginfo_t*, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const Instruction i = decode(reinterpret_cast<const uint8_t*>(registers[REG_RIP]), registers);
  if (i.end == nullptr || !run(i)) {
    signal(SIGILL, SIG_DFL);  // not of AMX: dies of it
    return;
  }
  ++instructions;
  registers[REG_RIP] = reinterpret_cast<greg_t>(i.end);
}

// While it lives.
class Tiles {
 public:
  Tiles() {
    struct sigaction action = {};
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &action, &before_);
  }
  ~Tiles() { sigaction(SIGILL, &before_, nullptr); }
  Tiles(const Tiles&) = delete;

 private:
  struct sigaction before_ = {};
};

}  // namespace
}  // namespace emulated
