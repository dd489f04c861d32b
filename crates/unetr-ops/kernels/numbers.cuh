// Element types and vectors of them. Everything is computed in float.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

// Shared memory of a size that the launch chooses.
#ifndef SIMULATED
#define SHARED(T, NAME) extern __shared__ T NAME[]
#endif

typedef __nv_bfloat16 bf16;
typedef __half f16;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_float(f16 x) { return __half2float(x); }
__device__ __forceinline__ float to_float(unsigned char x) { return x; }

template <typename T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return __float2bfloat16(x); }
template <> __device__ __forceinline__ f16 from_float<f16>(float x) { return __float2half(x); }

// N neighbouring elements, read and written at once.
template <typename T, int N> struct alignas(sizeof(T) * N) Vector {
    T at[N];
};

template <typename T, int N> __device__ __forceinline__ void load(float (&to)[N], const T *from) {
    const Vector<T, N> v = *reinterpret_cast<const Vector<T, N> *>(from);
#pragma unroll
    for (int i = 0; i < N; i++) to[i] = to_float(v.at[i]);
}

template <typename T, int N> __device__ __forceinline__ void store(T *to, const float (&from)[N]) {
    Vector<T, N> v;
#pragma unroll
    for (int i = 0; i < N; i++) v.at[i] = from_float<T>(from[i]);
    *reinterpret_cast<Vector<T, N> *>(to) = v;
}

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync(~0u, x, step);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) x = fmaxf(x, __shfl_xor_sync(~0u, x, step));
    return x;
}

// Defines a kernel for every element type and two widths of vectors: NAME_f32, NAME_f32_wide …
#define FOR_VECTORS(NAME, PARAMETERS, ...)                                                          \
    extern "C" __global__ void NAME##_f32 PARAMETERS(float) { NAME<float, 1> __VA_ARGS__; }         \
    extern "C" __global__ void NAME##_f32_wide PARAMETERS(float) { NAME<float, 4> __VA_ARGS__; }    \
    extern "C" __global__ void NAME##_bf16 PARAMETERS(bf16) { NAME<bf16, 1> __VA_ARGS__; }          \
    extern "C" __global__ void NAME##_bf16_wide PARAMETERS(bf16) { NAME<bf16, 8> __VA_ARGS__; }     \
    extern "C" __global__ void NAME##_f16 PARAMETERS(f16) { NAME<f16, 1> __VA_ARGS__; }             \
    extern "C" __global__ void NAME##_f16_wide PARAMETERS(f16) { NAME<f16, 8> __VA_ARGS__; }
