// The classes of highest score, and how often each was taken for each other one.
#include "pixels.cuh"

// Of equal scores the first; a plane lies between the classes.
template <typename T> __device__ __forceinline__ int best_class(const T *scores, int plane, int classes) {
    float best = to_float(scores[0]);
    int found = 0;
#pragma unroll 4
    for (int k = 1; k < classes; k++) {
        const float score = to_float(scores[k * plane]);
        if (score > best) {
            best = score;
            found = k;
        }
    }
    return found;
}

// Scores [images, classes, pixels] to classes [images, pixels].
template <typename T>
__device__ void predicted_classes(const T *scores, unsigned *ys, int chunks, int pixels, int classes) {
    const Place at = place(chunks);
    const T *image = scores + (long)at.image * classes * pixels;
    for (int pixel = at.first, end = min(pixels, at.first + CHUNK); pixel < end; pixel += THREADS)
        ys[(long)at.image * pixels + pixel] = best_class(image + pixel, pixels, classes);
}

// Adds to counts [images, classes · classes + 1]: a row for each label, a column for each prediction,
// and last the labels that are no class. Shared memory has the counts of one image.
template <typename T>
__device__ void confusion_counts(const T *scores, const void *labels, unsigned *counts, int bytes, int chunks,
                                 int pixels, int classes, long ignore) {
    SHARED(unsigned, cells);
    const Place at = place(chunks);
    const T *image = scores + (long)at.image * classes * pixels;
    const int strays = classes * classes;
    for (int i = threadIdx.x; i <= strays; i += THREADS) cells[i] = 0;
    __syncthreads();
    for (int i = 0; i < PIXELS; i++) {
        const int pixel = at.first + i * THREADS;
        int cell = -1;
        if (pixel < pixels) {
            const int label = label_at(labels, bytes, (long)at.image * pixels + pixel, classes, ignore);
            if (label >= 0) cell = label * classes + best_class(image + pixel, pixels, classes);
            if (label == STRAY) cell = strays;
        }
        // One of the threads that have the same cell adds for all of them.
        const unsigned same = __match_any_sync(~0u, cell);
        if (cell >= 0 && threadIdx.x % 32 == __ffs(same) - 1) atomicAdd(cells + cell, __popc(same));
    }
    __syncthreads();
    for (int i = threadIdx.x; i <= strays; i += THREADS)
        if (cells[i] > 0) atomicAdd(counts + (long)at.image * (strays + 1) + i, cells[i]);
}

#define FOR_TYPE(T, NAME)                                                                                             \
    extern "C" __global__ void predicted_classes_##NAME(const T *scores, unsigned *ys, int chunks, int pixels,        \
                                                        int classes) {                                                \
        predicted_classes<T>(scores, ys, chunks, pixels, classes);                                                    \
    }                                                                                                                 \
    extern "C" __global__ void confusion_counts_##NAME(const T *scores, const void *labels, unsigned *counts,         \
                                                       int bytes, int chunks, int pixels, int classes, long ignore) { \
        confusion_counts<T>(scores, labels, counts, bytes, chunks, pixels, classes, ignore);                          \
    }
FOR_TYPE(float, f32)
FOR_TYPE(bf16, bf16)
FOR_TYPE(f16, f16)
