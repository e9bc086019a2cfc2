// Ops on boxes that wait, noted: src/densekit/ops/_deferred.py says what that is, and meets each op of a formula first. Here are
// the passes after that: an op that was met before at its place gives the next box; all else goes to the method in Python.
//
// 64 rows of 4-64-64-2, a DQN update: its five ops take 8 us in Python, a fifth of the whole step.
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "plan.hpp"

#include <structmember.h>  // Python 3.11 keeps PyMemberDef there; it defines short macros, so it comes last

namespace densekit::bindings {
namespace {

constexpr std::array kBinary = {"add", "sub", "mul", "truediv", "pow",  "lt",   "le",       "gt",
                                "ge",  "eq",  "ne",  "radd",    "rsub", "rmul", "rtruediv", "rpow"};
constexpr std::array kUnary = {"neg", "abs"};

// An attribute of a class with `__slots__`.
struct Slot {
  Slot() = default;
  Slot(nb::handle type, const char* name) {
    const nb::object member = nb::getattr(type, name);
    if (Py_TYPE(member.ptr()) != &PyMemberDescr_Type) throw nb::type_error("quicken: expected classes with slots.");
    offset_ = reinterpret_cast<PyMemberDescrObject*>(member.ptr())->d_member->offset;
  }
  PyObject*& of(PyObject* object) const {
    return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + offset_);
  }
  // Of a new object.
  void set(PyObject* object, PyObject* value) const { of(object) = Py_NewRef(value); }

 private:
  Py_ssize_t offset_ = 0;
};

// One op of a box: its name in keys, what computes it, and the method that meets it first.
struct Method {
  nb::object name, own, in_python;
};

struct Notes {
  PyTypeObject *box = nullptr, *truth = nullptr, *tensor = nullptr;
  PyObject* places = nullptr;  // a list: what stands for a place in keys
  struct {
    Slot trace, formula, step, source, how, is_known;
  } of_box;
  struct {
    Slot formula, step, how, value;
  } of_truth;
  struct {
    Slot step, values, trace;
  } of_formula;
  struct {
    Slot next, noted, place, truth;
  } of_step;
  std::array<Method, kBinary.size()> binary;
  std::array<Method, kUnary.size()> unary;
  Method item;
  nb::object apply_to_box, apply_to_truth, at, axis, slice, no_settings;
};

Notes* notes = nullptr;  // never freed: classes refer to it

nb::object pair(PyObject* first, PyObject* second) { return nb::steal(PyTuple_Pack(2, first, second)); }

bool is_waiting(PyObject* value) { return Py_TYPE(value) == notes->box || Py_TYPE(value) == notes->truth; }

bool is_plain_array(PyObject* value) { return PyArray_CheckExact(value) || Py_TYPE(value) == notes->tensor; }

PyObject* formula_of(PyObject* value) {
  return Py_TYPE(value) == notes->box ? notes->of_box.formula.of(value) : notes->of_truth.formula.of(value);
}

// What stands for a value that waits.
PyObject* place_of(PyObject* value) {
  PyObject* step = Py_TYPE(value) == notes->box ? notes->of_box.step.of(value) : notes->of_truth.step.of(value);
  return PyList_GET_ITEM(notes->places, PyLong_AsSsize_t(notes->of_step.place.of(step)));
}

nb::object array_token(PyObject* array) {
  PyArrayObject* a = as_array(array);
  const nb::object shape = nb::steal(PyArray_IntTupleFromIntp(PyArray_NDIM(a), PyArray_DIMS(a)));
  return shape.is_valid() ? pair(shape.ptr(), reinterpret_cast<PyObject*>(PyArray_DESCR(a))) : nb::object();
}

// Numbers that compare equal are not the same setting: the type tells 1 from 1.0, the text 0.0 from -0.0.
nb::object typed(PyObject* value) {
  const int is_true = PyObject_IsTrue(value);
  if (is_true < 0) return {};
  const nb::object text = is_true ? nb::borrow(value) : nb::steal(PyObject_Repr(value));
  return text.is_valid() ? pair(reinterpret_cast<PyObject*>(Py_TYPE(value)), text.ptr()) : nb::object();
}

bool is_number(PyObject* value) { return PyFloat_CheckExact(value) || PyLong_CheckExact(value); }

// What tells one setting of an op from another; null: nothing does.
nb::object setting(PyObject* value) {
  if (PyTuple_CheckExact(value)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i) {
      if (!PyLong_CheckExact(PyTuple_GET_ITEM(value, i))) return {};
    }
    return nb::borrow(value);
  }
  const bool known = is_number(value) || PyBool_Check(value) || value == Py_None || PyUnicode_CheckExact(value);
  return known ? typed(value) : nb::object();
}

nb::object index_token(PyObject* index) {
  if (PyTuple_CheckExact(index)) {
    const Py_ssize_t n = PyTuple_GET_SIZE(index);
    nb::object parts = nb::steal(PyTuple_New(n));
    for (Py_ssize_t i = 0; parts.is_valid() && i < n; ++i) {
      nb::object part = index_token(PyTuple_GET_ITEM(index, i));
      if (!part.is_valid()) return {};
      PyTuple_SET_ITEM(parts.ptr(), i, part.release().ptr());
    }
    return parts;
  }
  if (PyLong_CheckExact(index)) return pair(notes->at.ptr(), index);
  if (index == Py_None || index == Py_Ellipsis) {
    const nb::object text = nb::steal(PyObject_Str(index));
    return text.is_valid() ? pair(notes->axis.ptr(), text.ptr()) : nb::object();
  }
  if (!PySlice_Check(index)) return {};
  const auto* bounds = reinterpret_cast<PySliceObject*>(index);
  for (PyObject* bound : {bounds->start, bounds->stop, bounds->step}) {
    if (bound != Py_None && !PyLong_CheckExact(bound)) return {};
  }
  return nb::steal(PyTuple_Pack(4, notes->slice.ptr(), bounds->start, bounds->stop, bounds->step));
}

using Arrays = std::vector<nb::object>;

PyObject* new_box(PyObject* formula, PyObject* step, PyObject* source, PyObject* args, PyObject* kwargs) {
  const nb::object how = pair(args, kwargs);
  PyObject* box = how.is_valid() ? notes->box->tp_alloc(notes->box, 0) : nullptr;
  if (box == nullptr) return nullptr;
  const auto& of = notes->of_box;
  of.trace.set(box, notes->of_formula.trace.of(formula));
  of.formula.set(box, formula);
  of.step.set(box, step);
  of.source.set(box, source);
  of.how.set(box, how.ptr());
  of.is_known.set(box, Py_False);
  return box;
}

PyObject* new_truth(PyObject* formula, PyObject* step, PyObject* source, PyObject* args, PyObject* kwargs) {
  const nb::object how = nb::steal(PyTuple_Pack(3, source, args, kwargs));
  PyObject* truth = how.is_valid() ? notes->truth->tp_alloc(notes->truth, 0) : nullptr;
  if (truth == nullptr) return nullptr;
  const auto& of = notes->of_truth;
  of.formula.set(truth, formula);
  of.step.set(truth, step);
  of.how.set(truth, how.ptr());
  of.value.set(truth, Py_None);
  return truth;
}

// The next box, if the op was met before at this place and may wait; else null, and nothing has changed.
PyObject* note(PyObject* formula, const nb::object& key, const Arrays& arrays, PyObject* source, PyObject* args,
               PyObject* kwargs) {
  if (!key.is_valid()) return nullptr;
  PyObject*& at = notes->of_formula.step.of(formula);
  PyObject* step = PyDict_GetItemWithError(notes->of_step.next.of(at), key.ptr());
  if (step == nullptr || notes->of_step.noted.of(step) != Py_True) return nullptr;
  const bool is_truth = notes->of_step.truth.of(step) == Py_True;
  PyObject* made = (is_truth ? new_truth : new_box)(formula, step, source, args, kwargs);
  if (made == nullptr) return nullptr;
  Py_ssize_t place = PyLong_AsSsize_t(notes->of_step.place.of(at));
  for (const nb::object& array : arrays) {
    const nb::object number = nb::steal(PyLong_FromSsize_t(++place));
    if (!number.is_valid() || PyDict_SetItem(notes->of_formula.values.of(formula), number.ptr(), array.ptr()) < 0) {
      Py_DECREF(made);
      return nullptr;
    }
  }
  PyObject* before = std::exchange(at, Py_NewRef(step));
  Py_DECREF(before);
  return made;
}

PyObject* note_binary(const Method& method, PyObject* self, PyObject* other) {
  PyObject* formula = notes->of_box.formula.of(self);
  nb::object operand, token;
  Arrays arrays;
  if (is_number(other)) {
    token = typed(other);
    operand = nb::borrow(other);
  } else if (is_plain_array(other)) {
    token = array_token(other);
    operand = nb::steal(PyArray_NewCopy(as_array(other), NPY_CORDER));  // the user may change it before it is read
    if (!operand.is_valid()) return nullptr;
    arrays.push_back(operand);
  } else if (is_waiting(other) && formula_of(other) == formula) {
    token = nb::borrow(place_of(other));
    operand = nb::borrow(other);
  }
  if (!token.is_valid()) return nullptr;
  const nb::object args = pair(self, operand.ptr());
  if (!args.is_valid()) return nullptr;
  const nb::object key = nb::steal(PyTuple_Pack(3, method.name.ptr(), place_of(self), token.ptr()));
  return note(formula, key, arrays, method.own.ptr(), args.ptr(), notes->no_settings.ptr());
}

PyObject* note_call(PyObject* formula, PyObject* function, PyObject* args, PyObject* kwargs) {
  if (!PyTuple_CheckExact(args) || !PyDict_CheckExact(kwargs)) return nullptr;
  const Py_ssize_t n = PyTuple_GET_SIZE(args);
  nb::object kept = nb::borrow(args), key = nb::steal(PyTuple_New(1 + n + PyDict_GET_SIZE(kwargs)));
  if (!key.is_valid()) return nullptr;
  PyTuple_SET_ITEM(key.ptr(), 0, Py_NewRef(function));
  Arrays arrays;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* value = PyTuple_GET_ITEM(args, i);
    nb::object token;
    if (is_waiting(value)) {
      if (formula_of(value) != formula) return nullptr;
      token = nb::borrow(place_of(value));
    } else if (is_plain_array(value)) {
      if (arrays.empty()) {
        kept = nb::steal(PyTuple_New(n));
        for (Py_ssize_t k = 0; kept.is_valid() && k < n; ++k)
          PyTuple_SET_ITEM(kept.ptr(), k, Py_NewRef(PyTuple_GET_ITEM(args, k)));
      }
      token = array_token(value);
      nb::object copy = nb::steal(PyArray_NewCopy(as_array(value), NPY_CORDER));
      if (!kept.is_valid() || !copy.is_valid()) return nullptr;
      arrays.push_back(copy);
      Py_DECREF(std::exchange(reinterpret_cast<PyTupleObject*>(kept.ptr())->ob_item[i], copy.release().ptr()));
    } else {
      token = setting(value);
    }
    if (!token.is_valid()) return nullptr;
    PyTuple_SET_ITEM(key.ptr(), 1 + i, token.release().ptr());
  }
  PyObject *name = nullptr, *value = nullptr;
  Py_ssize_t at = 0, filled = 1 + n;
  while (PyDict_Next(kwargs, &at, &name, &value)) {
    const nb::object token = setting(value);
    if (!token.is_valid()) return nullptr;
    nb::object named = pair(name, token.ptr());
    if (!named.is_valid()) return nullptr;
    PyTuple_SET_ITEM(key.ptr(), filled++, named.release().ptr());
  }
  return note(formula, key, arrays, function, kept.ptr(), kwargs);
}

// The methods of the classes. Null without an error means: as Python does it.

template <std::size_t I>
PyObject* binary(PyObject* self, PyObject* other) {
  const Method& method = notes->binary[I];
  PyObject* made = note_binary(method, self, other);
  if (made != nullptr || PyErr_Occurred()) return made;
  PyObject* args[] = {self, other};
  return PyObject_Vectorcall(method.in_python.ptr(), args, 2, nullptr);
}

template <std::size_t I>
PyObject* unary(PyObject* self, PyObject*) {
  const Method& method = notes->unary[I];
  const nb::object args = nb::steal(PyTuple_Pack(1, self));
  if (!args.is_valid()) return nullptr;
  const nb::object key = pair(method.name.ptr(), place_of(self));
  PyObject* made = note(notes->of_box.formula.of(self), key, {}, method.own.ptr(), args.ptr(),
                        notes->no_settings.ptr());
  return made != nullptr || PyErr_Occurred() ? made : PyObject_CallOneArg(method.in_python.ptr(), self);
}

PyObject* item(PyObject* self, PyObject* index) {
  const Method& method = notes->item;
  const nb::object token = index_token(index);
  if (PyErr_Occurred()) return nullptr;
  if (token.is_valid()) {
    const nb::object args = pair(self, index);
    if (!args.is_valid()) return nullptr;
    const nb::object key = nb::steal(PyTuple_Pack(3, method.name.ptr(), place_of(self), token.ptr()));
    PyObject* made = note(notes->of_box.formula.of(self), key, {}, method.own.ptr(), args.ptr(),
                          notes->no_settings.ptr());
    if (made != nullptr || PyErr_Occurred()) return made;
  }
  PyObject* args[] = {self, index};
  return PyObject_Vectorcall(method.in_python.ptr(), args, 2, nullptr);
}

PyObject* apply(PyObject* self, PyObject* const* given, Py_ssize_t n) {
  if (n == 3) {
    PyObject* made = note_call(formula_of(self), given[0], given[1], given[2]);
    if (made != nullptr || PyErr_Occurred()) return made;
  }
  std::vector<PyObject*> args{self};
  args.insert(args.end(), given, given + n);
  const nb::object& method = Py_TYPE(self) == notes->box ? notes->apply_to_box : notes->apply_to_truth;
  return PyObject_Vectorcall(method.ptr(), args.data(), args.size(), nullptr);
}

// Puts a method into a class, and gives the one that was there.
nb::object replace(nb::handle type, const char* name, PyCFunction function, int flags, nb::dict& replaced) {
  nb::object before = nb::getattr(type, name);
  auto* definition = new PyMethodDef{name, function, flags, nullptr};  // as long as the class
  PyObject* method = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), definition);
  if (method == nullptr) nb::raise_python_error();
  nb::setattr(type, name, nb::steal(method));
  replaced[name] = before;
  return before;
}

// Dunder names, which live as long as the classes.
const char* dunder(const char* name) { return (new std::string("__" + std::string(name) + "__"))->c_str(); }

template <std::size_t... I>
void replace_binary(nb::handle box, nb::handle own, nb::dict& replaced, std::index_sequence<I...>) {
  (
      [&] {
        const char* name = dunder(kBinary[I]);
        notes->binary[I] = {nb::str(kBinary[I]), nb::getattr(own, name),
                            replace(box, name, binary<I>, METH_O, replaced)};
      }(),
      ...);
}

template <std::size_t... I>
void replace_unary(nb::handle box, nb::handle own, nb::dict& replaced, std::index_sequence<I...>) {
  (
      [&] {
        const char* name = dunder(kUnary[I]);
        notes->unary[I] = {nb::str(kUnary[I]), nb::getattr(own, name),
                           replace(box, name, unary<I>, METH_NOARGS, replaced)};
      }(),
      ...);
}

nb::dict quicken(nb::handle box, nb::handle truth, nb::handle formula, nb::handle step, nb::object places,
                 nb::handle tensor, nb::handle own) {
  if (!PyList_CheckExact(places.ptr())) throw nb::type_error("quicken: expected a list of places.");
  if (notes != nullptr) throw std::runtime_error("quicken: the classes have these methods.");
  auto made = std::make_unique<Notes>();
  made->box = reinterpret_cast<PyTypeObject*>(nb::borrow(box).release().ptr());
  made->truth = reinterpret_cast<PyTypeObject*>(nb::borrow(truth).release().ptr());
  made->tensor = reinterpret_cast<PyTypeObject*>(nb::borrow(tensor).release().ptr());
  made->of_box = {{box, "_trace"},  {box, "_formula"}, {box, "_step"},
                  {box, "_source"}, {box, "_how"},     {box, "_is_known"}};
  made->of_truth = {{truth, "_formula"}, {truth, "_step"}, {truth, "_how"}, {truth, "_value"}};
  made->of_formula = {{formula, "step"}, {formula, "values"}, {formula, "trace"}};
  made->of_step = {{step, "next"}, {step, "noted"}, {step, "place"}, {step, "truth"}};
  made->places = places.release().ptr();
  made->at = nb::str("at");
  made->axis = nb::str("axis");
  made->slice = nb::str("slice");
  made->no_settings = nb::dict();
  notes = made.release();
  nb::dict replaced;
  replace_binary(box, own, replaced, std::make_index_sequence<kBinary.size()>());
  replace_unary(box, own, replaced, std::make_index_sequence<kUnary.size()>());
  notes->item = {nb::str("getitem"), nb::getattr(own, "__getitem__"),
                 replace(box, "__getitem__", item, METH_O, replaced)};
  nb::dict of_truth;
  const auto function = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(apply));
  notes->apply_to_box = replace(box, "_dk_apply", function, METH_FASTCALL, replaced);
  notes->apply_to_truth = replace(truth, "_dk_apply", function, METH_FASTCALL, of_truth);
  return replaced;
}

}  // namespace

void bind_notes(nb::module_& m) {
  m.def(
      "quicken", quicken, nb::arg("box"), nb::arg("truth"), nb::arg("formula"), nb::arg("step"), nb::arg("places"),
      nb::arg("tensor"), nb::arg("own"),
      nb::sig("def quicken(box: type, truth: type, formula: type, step: type, places: object, tensor: type, own: type) "
              "-> dict[str, Callable[..., object]]"),
      "Has the core note the ops of boxes that wait; gives the methods of `box` that did, by name.");
}

}  // namespace densekit::bindings
