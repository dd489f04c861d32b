// Pixels of images and their labels. A block has CHUNK neighbouring pixels of one image, an image
// `chunks` blocks; of its block's pixels a thread has those that are THREADS apart.
#pragma once
#include "numbers.cuh"

constexpr int THREADS = 256, PIXELS = 8, CHUNK = THREADS * PIXELS;

struct Place {
    int image, first;
};

__device__ __forceinline__ Place place(int chunks) {
    return {(int)blockIdx.x / chunks, (int)blockIdx.x % chunks * CHUNK + (int)threadIdx.x};
}

// What a label is that is no class.
constexpr int IGNORED = -1, STRAY = -2;

// The class of a pixel from labels of 1 byte (u8), 4 (u32) or 8 (i64); nothing is ignored below 0.
__device__ __forceinline__ int label_at(const void *labels, int bytes, long i, int classes, long ignore) {
    const long label = bytes == 1   ? (long)((const unsigned char *)labels)[i]
                       : bytes == 4 ? (long)((const unsigned *)labels)[i]
                                    : ((const long *)labels)[i];
    if (ignore >= 0 && label == ignore) return IGNORED;
    return label >= 0 && label < classes ? (int)label : STRAY;
}
