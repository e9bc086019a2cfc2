// densekit._native: the native core as Python sees it. Types in, types out; no mathematics.
#define DENSEKIT_IMPORTS_NUMPY
#include "plan.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "densekit/tiles.hpp"
#include "kernels/machine.hpp"

namespace densekit::bindings {
namespace {

std::vector<std::string> available_isas() {
  int n = 0;
  const Implementation* const* all = implementations(&n);
  std::vector<std::string> names;
  for (int i = 0; i < n; ++i) {
    if (all[i]->supported()) names.emplace_back(all[i]->name);
  }
  return names;
}

nb::dict machine_facts() {
  const Machine& m = machine();
  nb::dict facts;
  facts["cpu"] = cpu_name();
  facts["cores"] = usable_cores();
  facts["l1d"] = m.l1d;
  facts["l2"] = m.l2;
  facts["l3"] = m.l3;
  facts["fma_ports"] = m.fma_ports;
  facts["lanes_f32"] = active_implementation()->f32->lanes;
  return facts;
}

void set_threads(int n) {
  if (n < 1) throw nb::value_error(("set_threads: expected 1 or more, got " + std::to_string(n) + ".").c_str());
  nb::gil_scoped_release no_gil;  // a run that holds the pool may want the GIL
  ThreadPool::instance().set_threads(n);
}

}  // namespace
}  // namespace densekit::bindings

NB_MODULE(_native, m) {
  using namespace densekit;
  using namespace densekit::bindings;
  if (_import_array() < 0) nb::raise_python_error();
  if (active_implementation() == nullptr) throw nb::import_error(implementation_error());
  if (machine_error() != nullptr) throw nb::import_error(machine_error());
  nb::set_leak_warnings(false);  // a model alive when Python exits is no leak
  m.doc() = "The native core: plans, kernels and the thread pool.";
  bind_plan(m);
  bind_functions(m);
  bind_notes(m);
  bind_testing(m);
  m.def("available_isas", available_isas, "Instruction sets built in that this machine can run, best first.");
  m.def(
      "active_isa", [] { return std::string(active_implementation()->name); },
      "The one in use; DENSEKIT_ISA forces it.");
  m.def("tiles_note", tiles_note, nb::sig("def tiles_note() -> str | None"),
        "Of the tiles of AMX: 'used', 'not used: ...', 'not asked for yet'; None without them.");
  m.def("machine", machine_facts, nb::sig("def machine() -> dict[str, Any]"),
        "cpu, cores, cache sizes in bytes, fma_ports, lanes_f32.");
  m.def("get_threads", [] { return ThreadPool::instance().threads(); }, "Threads a run may use.");
  m.def("set_threads", set_threads, nb::arg("n"), "Sets them; waits for a run that holds the pool.");
}
