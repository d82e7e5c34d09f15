// pa_call: any operator by schema. Arguments are boxed after the schema's types, missing ones take its
// defaults, and c10's dispatcher does the rest, autograd included (0.05 us more than an unboxed call).
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/jit_type.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "errors.h"
#include "tensor.h"
#include "threads.h"

namespace pa {
namespace {

enum class Kind { Tensor, Int, Dtype, Layout, MemoryFormat, Float, Bool, String, Number, Device, Generator, Ints, Floats, Bools, Tensors, OptionalTensors, Other };

struct Slot {
    std::string name;
    Kind kind;
    bool optional;
    int64_t fixed;  // int[2] accepts one int and repeats it
    bool has_default;
    c10::IValue standard;
};

struct Operator {
    c10::OperatorHandle handle;
    std::string title;
    std::string schema;
    std::vector<Slot> slots;
};

Kind kind_of(const c10::TypePtr& type) {
    using c10::TypeKind;
    switch (type->kind()) {
        case TypeKind::TensorType: return Kind::Tensor;
        case TypeKind::IntType: return Kind::Int;
        case TypeKind::FloatType: return Kind::Float;
        case TypeKind::BoolType: return Kind::Bool;
        case TypeKind::StringType: return Kind::String;
        case TypeKind::NumberType: return Kind::Number;
        case TypeKind::DeviceObjType: return Kind::Device;
        case TypeKind::GeneratorType: return Kind::Generator;
        case TypeKind::ListType: break;
        default: return Kind::Other;
    }
    const c10::TypePtr& element = type->castRaw<c10::ListType>()->getElementType();
    if (element->kind() == TypeKind::OptionalType) {
        auto inner = element->castRaw<c10::OptionalType>()->getElementType()->kind();
        return inner == TypeKind::TensorType ? Kind::OptionalTensors : Kind::Other;
    }
    switch (kind_of(element)) {
        case Kind::Tensor: return Kind::Tensors;
        case Kind::Int: return Kind::Ints;
        case Kind::Float: return Kind::Floats;
        case Kind::Bool: return Kind::Bools;
        default: return Kind::Other;
    }
}

// To a schema dtypes, layouts and memory formats are integers; only the real type says that they are none.
Kind enumeration_of(const c10::Argument& argument) {
    auto kind = argument.real_type()->kind();
    if (kind == c10::TypeKind::OptionalType) kind = argument.real_type()->castRaw<c10::OptionalType>()->getElementType()->kind();
    switch (kind) {
        case c10::TypeKind::ScalarTypeType: return Kind::Dtype;
        case c10::TypeKind::LayoutType: return Kind::Layout;
        case c10::TypeKind::MemoryFormatType: return Kind::MemoryFormat;
        default: return Kind::Int;
    }
}

Slot slot_of(const c10::Argument& argument) {
    Slot slot{argument.name(), Kind::Other, false, argument.N() ? *argument.N() : 0, argument.default_value().has_value(), {}};
    c10::TypePtr type = argument.type();
    if (type->kind() == c10::TypeKind::OptionalType) {
        slot.optional = true;
        type = type->castRaw<c10::OptionalType>()->getElementType();
    }
    slot.kind = kind_of(type);
    if (slot.kind == Kind::Int) slot.kind = enumeration_of(argument);
    if (slot.has_default) slot.standard = *argument.default_value();
    return slot;
}

const char* tag_name(int32_t tag) {
    static const char* names[] = {"none",   "a tensor", "an integer", "a number", "a bool",      "a string",
                                  "integers", "numbers",  "bools",      "tensors",  "a device", "a generator", "default"};
    return tag >= 0 && tag <= PA_DEFAULT ? names[tag] : "an unknown kind";
}

[[noreturn]] void refuse(const Operator& op, const Slot& slot, const pa_arg& a) {
    throw ArgumentError("argument '" + slot.name + "' of " + op.title + " cannot be " + tag_name(a.tag) + "; the schema is " + op.schema);
}

template <typename T, typename Out>
c10::List<Out> list_of(const pa_arg& a) {
    c10::List<Out> list;
    list.reserve(a.count);
    auto* values = static_cast<const T*>(a.p);
    for (int32_t k = 0; k < a.count; k++) list.push_back(static_cast<Out>(values[k]));
    return list;
}

c10::IValue int_list(const Operator& op, const Slot& slot, const pa_arg& a) {
    if (a.tag == PA_INTS) return list_of<int64_t, int64_t>(a);
    if (a.tag != PA_INT || slot.fixed <= 0) refuse(op, slot, a);
    c10::List<int64_t> list;
    for (int64_t k = 0; k < slot.fixed; k++) list.push_back(a.i);
    return list;
}

c10::IValue tensor_list(const Operator& op, const Slot& slot, const pa_arg& a) {
    if (a.tag != PA_TENSORS) refuse(op, slot, a);
    auto* handles = static_cast<void* const*>(a.p);
    if (slot.kind == Kind::Tensors) {
        c10::List<at::Tensor> list;
        list.reserve(a.count);
        for (int32_t k = 0; k < a.count; k++) {
            if (handles[k] == nullptr) throw ArgumentError("tensor " + std::to_string(k) + " of argument '" + slot.name + "' of " + op.title + " is undefined");
            list.push_back(borrow(handles[k]));
        }
        return list;
    }
    c10::List<c10::optional<at::Tensor>> list;
    list.reserve(a.count);
    for (int32_t k = 0; k < a.count; k++) list.push_back(handles[k] == nullptr ? c10::optional<at::Tensor>() : borrow(handles[k]));
    return list;
}

bool is_element_type(int64_t i) {
    if (i < 0 || i >= static_cast<int64_t>(c10::ScalarType::NumOptions)) return false;
    auto type = static_cast<c10::ScalarType>(i);
    return c10::isFloatingType(type) || c10::isComplexType(type) || c10::isIntegralType(type, true);
}

// libtorch trusts these numbers: one that it does not know ends the process. Of layouts it knows more than work: zeros of the one called mkldnn
// writes 8 bytes into memory for 4. All tensors here are strided.
c10::IValue enumeration(const Operator& op, const Slot& slot, const pa_arg& a) {
    if (a.tag != PA_INT) refuse(op, slot, a);
    bool known = slot.kind == Kind::Dtype    ? is_element_type(a.i)
                 : slot.kind == Kind::Layout ? a.i == static_cast<int64_t>(c10::Layout::Strided)
                                             : a.i >= 0 && a.i < static_cast<int64_t>(c10::MemoryFormat::NumOptions);
    if (!known) throw ArgumentError("argument '" + slot.name + "' of " + op.title + " cannot be " + std::to_string(a.i) + (slot.kind == Kind::Layout ? "; the only layout is 0, strided" : ", which names nothing") + "; the schema is " + op.schema);
    return a.i;
}

c10::IValue number(const Operator& op, const Slot& slot, const pa_arg& a) {
    switch (a.tag) {
        case PA_INT: return a.i;
        case PA_DOUBLE: return a.d;
        case PA_BOOL: return a.i != 0;
        default: refuse(op, slot, a);
    }
}

c10::IValue box(const Operator& op, const Slot& slot, const pa_arg& a) {
    if (a.tag == PA_DEFAULT) {
        if (!slot.has_default) throw ArgumentError("argument '" + slot.name + "' of " + op.title + " has no default; the schema is " + op.schema);
        return slot.standard;
    }
    if (a.tag == PA_NONE) {
        if (!slot.optional) refuse(op, slot, a);
        return c10::IValue();
    }
    switch (slot.kind) {
        case Kind::Tensor:
            if (a.tag != PA_TENSOR || a.p == nullptr) refuse(op, slot, a);
            return borrow(a.p);
        case Kind::Int:
            if (a.tag != PA_INT && a.tag != PA_BOOL) refuse(op, slot, a);
            return a.i;
        case Kind::Dtype:
        case Kind::Layout:
        case Kind::MemoryFormat: return enumeration(op, slot, a);
        case Kind::Float:
            if (a.tag != PA_DOUBLE && a.tag != PA_INT) refuse(op, slot, a);
            return a.tag == PA_DOUBLE ? a.d : static_cast<double>(a.i);
        case Kind::Bool:
            if (a.tag != PA_BOOL && a.tag != PA_INT) refuse(op, slot, a);
            return a.i != 0;
        case Kind::String:
            if (a.tag != PA_STRING) refuse(op, slot, a);
            return std::string(static_cast<const char*>(a.p), a.count);
        case Kind::Number: return number(op, slot, a);
        case Kind::Device:
            if (a.tag != PA_DEVICE) refuse(op, slot, a);
            return device_of(a.i, a.count);
        case Kind::Generator:
            if (a.tag != PA_GENERATOR) refuse(op, slot, a);
            return *static_cast<at::Generator*>(a.p);
        case Kind::Ints: return int_list(op, slot, a);
        case Kind::Floats:
            if (a.tag != PA_DOUBLES) refuse(op, slot, a);
            return list_of<double, double>(a);
        case Kind::Bools:
            if (a.tag != PA_BOOLS) refuse(op, slot, a);
            return list_of<uint8_t, bool>(a);
        case Kind::Tensors:
        case Kind::OptionalTensors: return tensor_list(op, slot, a);
        case Kind::Other: break;
    }
    throw ArgumentError("argument '" + slot.name + "' of " + op.title + " has a type that cannot be passed; the schema is " + op.schema);
}

// KiB that only this tensor keeps alive; views and aliases count nothing.
int32_t owned_kib(const at::Tensor& t) {
    if (!t.device().is_cpu() || !t.has_storage() || t.storage().use_count() != 1) return 0;
    return static_cast<int32_t>(std::min<size_t>(t.storage().nbytes() >> 10, INT32_MAX));
}

void* copy_out(const void* data, size_t bytes) {
    void* p = std::malloc(bytes == 0 ? 1 : bytes);
    if (p == nullptr) throw std::bad_alloc();
    if (bytes != 0) std::memcpy(p, data, bytes);
    return p;
}

void unbox_tensors(const c10::IValue& value, pa_arg& out) {
    auto list = value.toTensorList();
    std::vector<void*> handles;
    handles.reserve(list.size());
    for (size_t k = 0; k < list.size(); k++) handles.push_back(give(list.get(k)));
    out.tag = PA_TENSORS;
    out.count = static_cast<int32_t>(handles.size());
    out.p = copy_out(handles.data(), handles.size() * sizeof(void*));
}

void unbox(const Operator& op, c10::IValue&& value, pa_arg& out) {
    out = pa_arg{};
    if (value.isTensor()) {
        at::Tensor t = std::move(value).toTensor();
        out.tag = t.defined() ? PA_TENSOR : PA_NONE;
        value = c10::IValue();
        if (t.defined()) out.count = owned_kib(t);
        out.p = give(std::move(t));
    } else if (value.isTensorList()) {
        unbox_tensors(value, out);
    } else if (value.isInt()) {
        out.tag = PA_INT, out.i = value.toInt();
    } else if (value.isDouble()) {
        out.tag = PA_DOUBLE, out.d = value.toDouble();
    } else if (value.isBool()) {
        out.tag = PA_BOOL, out.i = value.toBool();
    } else if (value.isIntList()) {
        auto values = value.toIntVector();
        out.tag = PA_INTS, out.count = static_cast<int32_t>(values.size());
        out.p = copy_out(values.data(), values.size() * sizeof(int64_t));
    } else if (!value.isNone()) {
        throw ArgumentError(op.title + " returns a " + value.tagKind() + ", which cannot be passed");
    }
}

// What was unboxed already goes back when a later result cannot be passed.
void drop(pa_arg& result) {
    if (result.tag == PA_TENSOR) take(result.p);
    if (result.tag == PA_TENSORS)
        for (int32_t k = 0; k < result.count; k++) take(static_cast<void**>(result.p)[k]);
    if (result.tag == PA_TENSORS || result.tag == PA_INTS) std::free(result.p);
    result = pa_arg{};
}

Operator* find(const char* name, const char* overload) {
    static std::mutex lock;
    static std::unordered_map<std::string, std::unique_ptr<Operator>> known;
    std::string title = *overload == 0 ? std::string(name) : std::string(name) + "." + overload;
    std::lock_guard<std::mutex> held(lock);
    auto it = known.find(title);
    if (it != known.end()) return it->second.get();
    auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!handle) throw UnknownOperator("this libtorch (" + std::string(pa_built_for()) + ") has no operator '" + title + "'");
    auto op = std::unique_ptr<Operator>(new Operator{*handle, title, c10::toString(handle->schema()), {}});
    for (const auto& argument : handle->schema().arguments()) op->slots.push_back(slot_of(argument));
    return (known[title] = std::move(op)).get();
}

// A message of the dispatcher speaks of an internal list; ours names the argument that is missing.
void check_count(const Operator& op, int32_t given) {
    if (given > static_cast<int32_t>(op.slots.size()))
        throw ArgumentError(op.title + " takes " + std::to_string(op.slots.size()) + " arguments, not " + std::to_string(given) + "; the schema is " + op.schema);
}

}  // namespace
}  // namespace pa

using namespace pa;

int pa_op_find(const char* name, const char* overload, void** op) {
    return guarded([&] { *op = find(name, overload); });
}

const char* pa_op_schema(void* op) { return static_cast<Operator*>(op)->schema.c_str(); }

int pa_op_count(int64_t* count) {
    return guarded([&] { *count = static_cast<int64_t>(c10::Dispatcher::singleton().getAllOpNames().size()); });
}

int pa_call(void* handle, const pa_arg* args, int32_t n_args, pa_arg* results, int32_t max_results, int32_t* n_results) {
    return guarded([&] {
        auto& op = *static_cast<Operator*>(handle);
        check_count(op, n_args);
        follow_threads();
        torch::jit::Stack stack;
        stack.reserve(op.slots.size() + 2);
        pa_arg standard{};
        standard.tag = PA_DEFAULT;
        for (size_t k = 0; k < op.slots.size(); k++) stack.push_back(box(op, op.slots[k], static_cast<int32_t>(k) < n_args ? args[k] : standard));
        op.handle.callBoxed(&stack);
        int32_t n = std::min(static_cast<int32_t>(stack.size()), max_results);
        *n_results = 0;
        try {
            for (int32_t k = 0; k < n; k++, ++*n_results) unbox(op, std::move(stack[k]), results[k]);
        } catch (...) {
            for (int32_t k = 0; k < *n_results; k++) drop(results[k]);
            throw;
        }
    });
}
