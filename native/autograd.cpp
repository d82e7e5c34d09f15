// Gradients: backward, grad, modes, and functions whose forward and backward are managed code.
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/anomaly_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <mutex>
#include <sstream>

#include "errors.h"
#include "tensor.h"
#include "threads.h"

namespace pa {
namespace {

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// Nodes are held by shared_ptr up to some 2.x and by intrusive_ptr after it: the edge knows which.
using NodePtr = std::decay_t<decltype(std::declval<torch::autograd::Edge>().function)>;

struct ManagedFunction : Node {
    std::string title;
    pa_backward_fn backward = nullptr;
    pa_release_fn release = nullptr;
    void* context = nullptr;
    std::vector<SavedVariable> saved;
    std::mutex guard;  // over saved and released: two backward passes may run over one graph at once
    int64_t n_inputs = 0;
    std::vector<c10::TensorImpl*> taken;  // until pa_function_finish: inputs and finished outputs, only compared
    NodePtr self;  // until pa_function_drop; an owning cycle afterwards would never be freed
    bool released = false;

    std::string name() const override { return title; }

    variable_list apply(variable_list&& grads) override {
        std::vector<void*> in, out(n_inputs, nullptr);
        for (size_t k = 0; k < grads.size(); k++) in.push_back(give(grads[k].defined() ? grads[k] : input_metadata(k).zeros_like()));
        int64_t number = backward(context, this, in.data(), static_cast<int32_t>(in.size()), out.data(), static_cast<int32_t>(out.size()));
        variable_list results;
        for (void* handle : out) results.push_back(take(handle));
        if (number != 0) throw ManagedError(number);
        return results;
    }

    void release_variables() override {
        std::lock_guard<std::mutex> held(guard);
        saved.clear();
        released = true;
    }

    ~ManagedFunction() override {
        if (release != nullptr) release(context);
    }
};

template <typename Ptr>
struct MakeNode;
template <typename T>
struct MakeNode<std::shared_ptr<T>> {
    static std::shared_ptr<T> make(T* f) { return std::shared_ptr<T>(f, [](T* node) { deleteNode(node); }); }
    static std::shared_ptr<T> of(T* f) { return f->shared_from_this(); }
};
template <typename T>
struct MakeNode<c10::intrusive_ptr<T>> {
    static c10::intrusive_ptr<T> make(T* f) { return c10::intrusive_ptr<T>::unsafe_steal_from_new(f); }
    static c10::intrusive_ptr<T> of(T* f) { return c10::intrusive_ptr<T>::reclaim_copy(f); }
};

variable_list borrow_all(void** handles, int32_t n) {
    variable_list list;
    list.reserve(n);
    for (int32_t k = 0; k < n; k++) list.push_back(handles == nullptr ? at::Tensor() : borrow(handles[k]));
    return list;
}

ManagedFunction& function_of(void* handle) { return *static_cast<ManagedFunction*>(handle); }

}  // namespace
}  // namespace pa

using namespace pa;

int pa_set_requires_grad(void* tensor, int32_t on) {
    return guarded([&] { borrow(tensor).requires_grad_(on != 0); });
}

int pa_grad_get(void* tensor, void** grad) {
    return guarded([&] { *grad = give(borrow(tensor).grad()); });
}

int pa_grad_set(void* tensor, void* grad) {
    return guarded([&] {
        at::Tensor t = borrow(tensor), g = borrow(grad);
        // libtorch checks nothing here, and a gradient that does not fit is found out far away, if at all.
        if (g.defined() && (!g.sizes().equals(t.sizes()) || g.scalar_type() != t.scalar_type() || g.device() != t.device())) {
            std::ostringstream text;
            text << "a gradient of " << g.scalar_type() << " " << g.sizes() << " on " << g.device() << " does not fit a tensor of " << t.scalar_type() << " "
                 << t.sizes() << " on " << t.device();
            throw ArgumentError(text.str());
        }
        t.mutable_grad() = g;
    });
}

int pa_retain_grad(void* tensor) {
    return guarded([&] { borrow(tensor).retain_grad(); });
}

int pa_grad_fn_name(void* tensor, char* text, int32_t capacity) {
    return guarded([&] {
        auto node = borrow(tensor).grad_fn();
        std::string name = node ? node->name() : "";
        std::strncpy(text, name.c_str(), capacity - 1);
        text[capacity - 1] = 0;
    });
}

int pa_grad_mode_get(void) { return at::GradMode::is_enabled(); }

void pa_grad_mode_set(int32_t on) { at::GradMode::set_enabled(on != 0); }

int pa_inference_mode_enter(int32_t on, void** guard) {
    return guarded([&] { *guard = new c10::InferenceMode(on != 0); });
}

void pa_inference_mode_leave(void* guard) { delete static_cast<c10::InferenceMode*>(guard); }

int pa_anomaly_mode_set(int32_t on) {
    return guarded([&] { torch::autograd::AnomalyMode::set_enabled(on != 0); });
}

int pa_backward(void** tensors, void** grads, int32_t n, int32_t retain_graph, int32_t create_graph) {
    return guarded([&] {
        follow_threads();
        torch::autograd::backward(borrow_all(tensors, n), grads == nullptr ? variable_list() : borrow_all(grads, n), retain_graph != 0, create_graph != 0);
    });
}

int pa_grad(void** outputs, void** grad_outputs, int32_t n_outputs, void** inputs, int32_t n_inputs, int32_t retain_graph,
            int32_t create_graph, int32_t allow_unused, void** results) {
    return guarded([&] {
        follow_threads();
        auto grads = torch::autograd::grad(borrow_all(outputs, n_outputs), borrow_all(inputs, n_inputs),
                                           grad_outputs == nullptr ? variable_list() : borrow_all(grad_outputs, n_outputs), retain_graph != 0,
                                           create_graph != 0, allow_unused != 0);
        for (int32_t k = 0; k < n_inputs; k++) results[k] = give(grads[k]);
    });
}

int pa_function_new(void** inputs, int32_t n_inputs, const char* name, pa_backward_fn backward, pa_release_fn release, void* context, void** function) {
    return guarded([&] {
        *function = nullptr;
        auto variables = borrow_all(inputs, n_inputs);
        // Nobody asks for a gradient: the caller keeps the context, no node is made.
        if (!at::GradMode::is_enabled() || !torch::autograd::any_variable_requires_grad(variables)) return;
        auto* f = new ManagedFunction();
        f->self = MakeNode<NodePtr>::make(f);
        f->title = name;
        f->backward = backward;
        f->n_inputs = n_inputs;
        for (const auto& v : variables) f->taken.push_back(v.unsafeGetTensorImpl());
        f->set_next_edges(torch::autograd::collect_next_edges(variables));
        f->release = release;
        f->context = context;
        *function = f;
    });
}

int pa_function_save(void* function, void* tensor, int32_t is_output) {
    return guarded([&] { function_of(function).saved.emplace_back(borrow(tensor), is_output != 0); });
}

int pa_function_saved_count(void* function, int32_t* count) {
    return guarded([&] {
        auto& f = function_of(function);
        std::lock_guard<std::mutex> held(f.guard);
        if (f.released) throw std::runtime_error("the graph of " + f.title + " was freed by an earlier backward; pass retain_graph to keep it");
        *count = static_cast<int32_t>(f.saved.size());
    });
}

int pa_function_saved(void* function, int32_t index, void** tensor) {
    return guarded([&] {
        auto& f = function_of(function);
        std::lock_guard<std::mutex> held(f.guard);
        if (index < 0 || index >= static_cast<int32_t>(f.saved.size())) throw ArgumentError("no such saved tensor");
        *tensor = give(f.saved[index].unpack(MakeNode<NodePtr>::of(&f)));
    });
}

// Hangs the outputs on the function. Integer outputs carry no gradient. An output that is an input, an earlier output
// or a view made inside forward becomes a tensor of its own first: hanging the caller's own tensor would change it.
int pa_function_finish(void* function, void** outputs, int32_t n_outputs, void** results) {
    return guarded([&] {
        auto& f = function_of(function);
        for (int32_t k = 0; k < n_outputs; k++) {
            at::Tensor out = borrow(outputs[k]);
            bool differentiable = at::isFloatingType(out.scalar_type());
            bool seen = std::find(f.taken.begin(), f.taken.end(), out.unsafeGetTensorImpl()) != f.taken.end();
            if (seen || out.is_view() || out.requires_grad()) out = out.detach();
            f.taken.push_back(out.unsafeGetTensorImpl());
            if (differentiable)
                torch::autograd::set_history(out, f.self);
            else
                f.add_input_metadata(Node::undefined_input());
            results[k] = give(std::move(out));
        }
        f.taken.clear();
    });
}

// The end of forward, after success or an exception: from here on only its outputs keep the node.
void pa_function_drop(void* function) { function_of(function).self = nullptr; }
