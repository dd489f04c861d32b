// What the kernels use of CUDA, for the CPU: every thread of a block is a thread, one block runs after the other.
// Slow, but index arithmetic, barriers and the layout of fragments are those of the kernels' own source.
#pragma once
#define SIMULATED
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static
#define SHARED(T, NAME) static T NAME[1 << 16]

using std::max, std::min;

struct Dim {
    unsigned x = 1, y = 1, z = 1;
};
inline thread_local Dim threadIdx, blockIdx, blockDim, gridDim;

struct uint4 {
    unsigned x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline std::unique_ptr<std::barrier<>> of_block;
inline std::vector<std::unique_ptr<std::barrier<>>> of_warps;
inline int thread() { return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x; }
inline void __syncthreads() { of_block->arrive_and_wait(); }

// What every thread of a warp gives, seen by all of them.
template <typename T> std::vector<T> gather(T mine) {
    static T all[1024];
    const int first = thread() / 32 * 32;
    all[thread()] = mine;
    of_warps[thread() / 32]->arrive_and_wait();
    std::vector<T> seen(all + first, all + first + 32);
    of_warps[thread() / 32]->arrive_and_wait();
    return seen;
}
template <typename T> T __shfl_xor_sync(unsigned, T x, int lane) { return gather(x)[(thread() % 32) ^ lane]; }

inline float rsqrtf(float x) { return 1.f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }

inline void launch(Dim grid, Dim block, const std::function<void()> &kernel) {
    const int count = block.x * block.y * block.z;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                of_block = std::make_unique<std::barrier<>>(count);
                of_warps.clear();
                for (int w = 0; w * 32 < count; w++)
                    of_warps.push_back(std::make_unique<std::barrier<>>(min(32, count - 32 * w)));
                std::vector<std::thread> threads;
                for (unsigned t = 0; t < (unsigned)count; t++)
                    threads.emplace_back([&, t] {
                        threadIdx = {t % block.x, t / block.x % block.y, t / block.x / block.y};
                        blockIdx = {x, y, z}, blockDim = block, gridDim = grid;
                        kernel();
                        of_block->arrive_and_drop();
                    });
                for (auto &one : threads) one.join();
            }
}

// Numbers in -1..1.
inline std::vector<float> numbers(size_t count) {
    static std::mt19937 engine(1);
    std::uniform_real_distribution<float> draw(-1, 1);
    std::vector<float> all(count);
    for (float &x : all) x = draw(engine);
    return all;
}

inline int failures = 0;

// Compares what a kernel gives with what it should, of the largest value.
template <typename F> void compare(const char *what, size_t count, double bound, F pair) {
    double off = 0, scale = 1e-30;
    for (size_t i = 0; i < count; i++) {
        const auto [found, expected] = pair(i);
        scale = max(scale, std::abs(expected));
        off = std::isfinite(found) ? max(off, std::abs(found - expected)) : INFINITY;
    }
    printf("%s: off by %.1e, allowed %.0e\n", what, off / scale, bound);
    if (!(off / scale <= bound)) failures++;
}
