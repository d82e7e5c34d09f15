// Turns every C++ exception into a status and one line of text, in the order that matters:
// c10's own, the standard's, everything else (std::out_of_range is no runtime_error).
#pragma once
#include <c10/util/Exception.h>

#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "peftalign.h"

namespace pa {

// Thrown by our own code when an argument does not fit; becomes PA_ARGUMENT.
struct ArgumentError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct UnknownOperator : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Carries the number of a managed exception through the autograd engine.
struct ManagedError : std::runtime_error {
    explicit ManagedError(int64_t number) : std::runtime_error("managed exception " + std::to_string(number)), number(number) {}
    int64_t number;
};

std::string& last_error();

inline int fail(int status, std::string text) {
    last_error() = std::move(text);
    return status;
}

// Allocation failures on the processor are plain c10::Errors whose text names the allocator; so are those of CUDA's runtime (pinned
// memory, a context) and libraries (their workspaces), which do not come from libtorch's allocator.
inline bool says_out_of_memory(const std::string& text) {
    for (const char* said : {"can't allocate memory", "not enough memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUSOLVER_STATUS_ALLOC_FAILED"})
        if (text.find(said) != std::string::npos) return true;
    return false;
}

template <typename F>
int guarded(F&& body) noexcept {
    try {
        body();
        return PA_OK;
    } catch (const ManagedError& e) {
        return fail(PA_MANAGED, std::to_string(e.number));
    } catch (const c10::OutOfMemoryError& e) {
        return fail(PA_OUT_OF_MEMORY, e.what_without_backtrace());
    } catch (const c10::IndexError& e) {
        return fail(PA_INDEX, e.what_without_backtrace());
    } catch (const c10::NotImplementedError& e) {
        return fail(PA_NOT_IMPLEMENTED, e.what_without_backtrace());
    } catch (const c10::Error& e) {
        std::string text = e.what_without_backtrace();
        int status = says_out_of_memory(text) ? PA_OUT_OF_MEMORY : PA_ERROR; // before the text is moved away
        return fail(status, std::move(text));
    } catch (const ArgumentError& e) {
        return fail(PA_ARGUMENT, e.what());
    } catch (const UnknownOperator& e) {
        return fail(PA_UNKNOWN_OPERATOR, e.what());
    } catch (const std::bad_alloc&) {
        return fail(PA_OUT_OF_MEMORY, "the processor's memory is exhausted (bad_alloc)");
    } catch (const std::exception& e) {
        return fail(PA_ERROR, e.what());
    } catch (...) {
        return fail(PA_UNKNOWN, "an exception of unknown type left libtorch");
    }
}

}  // namespace pa
