// Images as they are uploaded: bytes.
#include "numbers.cuh"

// A number for each channel.
struct Channels {
    float red, green, blue;
};

__device__ __forceinline__ float of_plane(Channels all, unsigned plane) {
    const unsigned channel = plane % 3;
    return channel == 0 ? all.red : channel == 1 ? all.green : all.blue;
}

// Bytes [images, 3, pixels] to floats (x - shift) * scale. A column of blocks has a plane.
template <int N>
__device__ void normalize(const unsigned char *xs, float *ys, int pixels, Channels shifts, Channels scales) {
    const float shift = of_plane(shifts, blockIdx.x), scale = of_plane(scales, blockIdx.x);
    const long plane = (long)blockIdx.x * pixels;
    const int step = gridDim.y * blockDim.x * N;
    for (int pixel = (blockIdx.y * blockDim.x + threadIdx.x) * N; pixel < pixels; pixel += step) {
        float x[N];
        load<unsigned char, N>(x, xs + plane + pixel);
#pragma unroll
        for (int k = 0; k < N; k++) x[k] = (x[k] - shift) * scale;
        store<float, N>(ys + plane + pixel, x);
    }
}

#define NORMALIZE(NAME, N)                                                                                          \
    extern "C" __global__ void NAME(const unsigned char *xs, float *ys, int pixels, float red_shift,                \
                                    float green_shift, float blue_shift, float red_scale, float green_scale,        \
                                    float blue_scale) {                                                             \
        normalize<N>(xs, ys, pixels, {red_shift, green_shift, blue_shift}, {red_scale, green_scale, blue_scale});   \
    }
NORMALIZE(normalize_u8, 1)
NORMALIZE(normalize_u8_wide, 4)
