// The few declarations of CUDA's runtime that the plugin's kernels use, written from its documentation, so that clang compiles
// them where no toolkit is: the device's side to PTX, the host's to a file that is not linked. Nothing here runs.
#pragma once
#include <cstddef>
#include <cstdlib>

#define __host__ __attribute__((host))
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __forceinline__ __inline__ __attribute__((always_inline))

#include <__clang_cuda_builtin_vars.h>

struct dim3 {
    unsigned x, y, z;
    __host__ __device__ constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define CUDART_VERSION 12345

typedef struct CUstream_st* cudaStream_t;
struct cudaFuncAttributes { int binaryVersion; };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76 };
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };

extern "C" {
cudaError_t cudaGetDevice(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetLastError(void);
const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaRuntimeGetVersion(int*);
cudaError_t cudaDeviceGetAttribute(int*, cudaDeviceAttr, int);
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, const void*);
// What clang makes of <<<...>>>.
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared = 0, void* stream = nullptr);
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream);
cudaError_t cudaLaunchKernel(const void*, dim3, dim3, void**, size_t, cudaStream_t);
}

__device__ inline void* memcpy(void* to, const void* from, size_t n) { return __builtin_memcpy(to, from, n); }
#ifdef __CUDA_ARCH__
// Never joined to one operation that rounds once, which is what they are for; clang's own builtins are.
__device__ inline float __fadd_rn(float a, float b) {
    float r;
    asm("add.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ inline float __fmul_rn(float a, float b) {
    float r;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
#endif
