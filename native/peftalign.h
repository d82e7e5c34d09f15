// The C interface between libtorch and src/Torch. It wraps no operator: pa_call reaches all of them
// through c10's dispatcher. The rest is what is not an operator: tensor lifetime, autograd,
// generators, devices, threads. Every function returns a status (pa_status); pa_last_error explains it.
// Assumes: handles are owned references to TensorImpl; a null handle is the undefined tensor.
#pragma once
#include <stdint.h>

#define PA_API extern "C" __attribute__((visibility("default")))

typedef enum {
    PA_OK = 0,
    PA_ERROR = 1,            // libtorch refused: shapes, dtypes, devices ...
    PA_OUT_OF_MEMORY = 2,
    PA_INDEX = 3,            // index out of range
    PA_NOT_IMPLEMENTED = 4,  // no kernel for this device or dtype
    PA_ARGUMENT = 5,         // an argument does not fit the operator's schema
    PA_UNKNOWN_OPERATOR = 6,
    PA_MANAGED = 7,          // an exception of managed code crossed the autograd engine; text is its number
    PA_UNKNOWN = 8,
} pa_status;

typedef enum {
    PA_NONE = 0,
    PA_TENSOR = 1,     // p
    PA_INT = 2,        // i: int, bool, dtype, layout, memory format
    PA_DOUBLE = 3,     // d
    PA_BOOL = 4,       // i
    PA_STRING = 5,     // p: UTF-8, count bytes
    PA_INTS = 6,       // p: int64_t[count]
    PA_DOUBLES = 7,    // p: double[count]
    PA_BOOLS = 8,      // p: uint8_t[count]
    PA_TENSORS = 9,    // p: handle[count]; null = undefined or None
    PA_DEVICE = 10,    // i: c10::DeviceType of libtorch 2, count: index or -1
    PA_GENERATOR = 11, // p
    PA_DEFAULT = 12,   // the schema's default
} pa_tag;

// One argument or result, 16 bytes. For a returned tensor, count = KiB of storage that it alone owns on
// the processor (0 = shared or elsewhere): the garbage collector is told of it. Returned arrays: pa_free.
typedef struct {
    int32_t tag;
    int32_t count;
    union {
        int64_t i;
        double d;
        void* p;
    };
} pa_arg;

typedef struct {
    const int64_t* sizes;
    const int64_t* strides;
    void* data;
    int64_t numel;
    int64_t storage_bytes;
    int64_t storage_offset;
    int32_t dims;
    int32_t dtype;
    int32_t device_type;
    int32_t device_index;
    uint8_t requires_grad;
    uint8_t is_leaf;
    uint8_t is_contiguous;
    uint8_t is_view;
    uint32_t version;
} pa_tensor_info;

// grads: owned by the callee. results: owned by the caller of the callback. Returns 0, or the number of a managed exception.
typedef int64_t (*pa_backward_fn)(void* context, void* function, void** grads, int32_t n_grads, void** results, int32_t n_results);
typedef void (*pa_release_fn)(void* context);

// Errors and versions
PA_API const char* pa_last_error(void);
PA_API const char* pa_built_for(void);   // version whose headers compiled this library
PA_API int pa_running(char* text, int32_t capacity); // version of the libtorch that is loaded
PA_API void pa_free(void* p);

// Operators
PA_API int pa_op_find(const char* name, const char* overload, void** op);
PA_API const char* pa_op_schema(void* op);
PA_API int pa_call(void* op, const pa_arg* args, int32_t n_args, pa_arg* results, int32_t max_results, int32_t* n_results);
PA_API int pa_op_count(int64_t* count);

// Tensors
PA_API void pa_tensor_release(void* tensor);
PA_API int pa_tensor_info_get(void* tensor, pa_tensor_info* info);
PA_API int pa_tensor_from_blob(void* data, const int64_t* sizes, int32_t dims, int32_t dtype, pa_release_fn release, void* context, void** tensor);
PA_API int pa_tensor_alias(void* tensor, void** same); // a second handle to the same tensor

// Autograd
PA_API int pa_set_requires_grad(void* tensor, int32_t on);
PA_API int pa_grad_get(void* tensor, void** grad);
PA_API int pa_grad_set(void* tensor, void* grad);
PA_API int pa_retain_grad(void* tensor);
PA_API int pa_grad_fn_name(void* tensor, char* text, int32_t capacity);
PA_API int pa_grad_mode_get(void);
PA_API void pa_grad_mode_set(int32_t on);
PA_API int pa_inference_mode_enter(int32_t on, void** guard);
PA_API void pa_inference_mode_leave(void* guard);
PA_API int pa_backward(void** tensors, void** grads, int32_t n, int32_t retain_graph, int32_t create_graph);
PA_API int pa_grad(void** outputs, void** grad_outputs, int32_t n_outputs, void** inputs, int32_t n_inputs,
                   int32_t retain_graph, int32_t create_graph, int32_t allow_unused, void** results);
PA_API int pa_anomaly_mode_set(int32_t on);
PA_API int pa_function_new(void** inputs, int32_t n_inputs, const char* name, pa_backward_fn backward,
                           pa_release_fn release, void* context, void** function);
PA_API int pa_function_save(void* function, void* tensor, int32_t is_output);
PA_API int pa_function_saved_count(void* function, int32_t* count);
PA_API int pa_function_saved(void* function, int32_t index, void** tensor);
PA_API int pa_function_finish(void* function, void** outputs, int32_t n_outputs, void** results);
PA_API void pa_function_drop(void* function);

// Generators
PA_API int pa_generator_default(int32_t device_type, int32_t device_index, void** generator);
PA_API int pa_generator_new(int32_t device_type, int32_t device_index, int64_t seed, void** generator);
PA_API void pa_generator_release(void* generator);
PA_API int pa_generator_seed_set(void* generator, int64_t seed);
PA_API int pa_generator_seed_get(void* generator, int64_t* seed);
PA_API int pa_generator_state_get(void* generator, void** tensor);
PA_API int pa_generator_state_set(void* generator, void* tensor);
PA_API int pa_manual_seed(int64_t seed);

// Devices, threads, what this libtorch is
PA_API int pa_cuda_count(int32_t* count);
PA_API int pa_cuda_synchronize(int32_t device_index);
PA_API int pa_cuda_stream(int32_t device_index, void** stream);
PA_API int pa_cuda_stream_new(int32_t device_index, int64_t* id); // libtorch's number of a stream
PA_API int pa_cuda_stream_now(int32_t device_index, int64_t* id);
PA_API int pa_cuda_stream_use(int32_t device_index, int64_t id);
PA_API int pa_cuda_event_record(int32_t device_index, int64_t id, void** event);
PA_API int pa_cuda_event_wait(void* event, int32_t device_index, int64_t id); // what comes on the stream waits for it
PA_API void pa_cuda_event_release(void* event);
PA_API int pa_cuda_memory(int32_t device_index, int64_t* allocated, int64_t* peak, int64_t* reserved); // bytes
PA_API int pa_cuda_memory_reset(int32_t device_index, int32_t peak, int32_t empty_cache);
PA_API void pa_rehearsal_memory(int32_t reset, int64_t* bytes, int64_t* peak); // of its tensors; reset: peak counts anew from here
PA_API void pa_rehearsal_open(void); // before the first backward pass; the device is PrivateUse1, index 0
PA_API int pa_threads_get(void);
PA_API int pa_threads_set(int32_t threads);
// Our kernels' instruction set: 0 baseline, 1 AVX2, 2 AVX-512, 3 AVX-512 with products of bfloat16. From now on none above `most` is used; -1 changes nothing. `set` receives the one in use.
PA_API int pa_instructions(int32_t most, int32_t* set);
PA_API int pa_blas(char* text, int32_t capacity); // OpenBLAS' kernels ("SkylakeX"), or "" for another BLAS
PA_API int pa_describe(char* text, int32_t capacity); // at::show_config and at::get_parallel_info
