// Convolutions of stride 1 that keep the resolution, on the matrix units: feature maps with channels
// last, [images, height, width, channels], channels a multiple of 16, kernel 3x3 or 1x1. A block has
// 8x16 pixels, each of its four warps two rows of them; what the taps see lies in shared memory once.
#include "matrix_units.cuh"

constexpr int ROWS = 8, COLUMNS = 16, WARPS = 4, THREADS = 32 * WARPS;

// A map, and which of its channels are meant.
template <typename T> struct Map {
    const T *at;
    int channels;
};

// BYTES of every pixel of a window of WINDOW_ROWS x WINDOW_COLUMNS on their way to shared memory, where
// pixels are PITCH bytes apart; zeros outside of the map.
template <typename T, int BYTES, int PITCH, int WINDOW_ROWS, int WINDOW_COLUMNS> struct Window {
    static constexpr int PARTS = BYTES / 16, COUNT = WINDOW_ROWS * WINDOW_COLUMNS * PARTS;
    static constexpr int EACH = (COUNT + THREADS - 1) / THREADS;
    uint4 values[EACH];

    __device__ __forceinline__ void fetch(Map<T> map, int image, int channel, int height, int width, int top, int left) {
#pragma unroll
        for (int n = 0; n < EACH; n++) {
            const int i = threadIdx.x + n * THREADS, part = i % PARTS, pixel = i / PARTS;
            const int y = top + pixel / WINDOW_COLUMNS, x = left + pixel % WINDOW_COLUMNS;
            values[n] = make_uint4(0, 0, 0, 0);
            if (i < COUNT && y >= 0 && y < height && x >= 0 && x < width)
                values[n] = reinterpret_cast<const uint4 *>(map.at + (((long)image * height + y) * width + x) * map.channels + channel)[part];
        }
    }

    __device__ __forceinline__ void put(char *to) const {
#pragma unroll
        for (int n = 0; n < EACH; n++) {
            const int i = threadIdx.x + n * THREADS;
            if (i < COUNT) *reinterpret_cast<uint4 *>(to + i / PARTS * PITCH + i % PARTS * 16) = values[n];
        }
    }
};

// ys [images, height, width, outputs] = (ys +) the convolution of the concatenation of two maps with
// weight [taps, outputs, inputs], taps tap_step and outputs output_step elements apart.
// blockIdx: tile of pixels, image, NT outputs.
template <typename T, int KERNEL, int NT>
__device__ void conv2d(const T *xs, int channels, const T *more, int more_channels, const T *weight, long tap_step,
                       int output_step, T *ys, int height, int width, int outputs, int accumulate) {
    constexpr int REACH = KERNEL / 2, TAPS = KERNEL * KERNEL, PITCH = 48;
    constexpr int DEPTH = 32 / sizeof(T); // channels at a time: 32 bytes
    constexpr int WINDOW_ROWS = ROWS + 2 * REACH, WINDOW_COLUMNS = COLUMNS + 2 * REACH;
    __shared__ __align__(16) char window[WINDOW_ROWS * WINDOW_COLUMNS * PITCH];
    __shared__ __align__(16) char weights[TAPS * NT * PITCH];

    const int tiles = (width + COLUMNS - 1) / COLUMNS;
    const int top = blockIdx.x / tiles * ROWS, left = blockIdx.x % tiles * COLUMNS;
    const int image = blockIdx.y, first = blockIdx.z * NT;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

    float sums[2][NT / 8][4] = {};
    for (int from = 0; from < channels + more_channels; from += DEPTH) {
        const bool in_first = from < channels;
        const Map<T> map = in_first ? Map<T>{xs, channels} : Map<T>{more, more_channels};
        __syncthreads();
        Window<T, 32, PITCH, WINDOW_ROWS, WINDOW_COLUMNS> seen;
        seen.fetch(map, image, in_first ? from : from - channels, height, width, top - REACH, left - REACH);
        seen.put(window);
        for (int i = threadIdx.x; i < TAPS * NT * 2; i += THREADS) {
            const int part = i % 2, output = i / 2 % NT, tap = i / 2 / NT;
            const T *row = weight + tap * tap_step + (long)(first + output) * output_step + from;
            *reinterpret_cast<uint4 *>(weights + (tap * NT + output) * PITCH + part * 16) =
                reinterpret_cast<const uint4 *>(row)[part];
        }
        __syncthreads();
#pragma unroll
        for (int tap = 0; tap < TAPS; tap++) {
            uint32_t a[2][4];
#pragma unroll
            for (int m = 0; m < 2; m++) {
                const int y = warp * 2 + m + tap / KERNEL, x = lane % 16 + tap % KERNEL;
                load_matrices(a[m], window + (y * WINDOW_COLUMNS + x) * PITCH + lane / 16 * 16);
            }
#pragma unroll
            for (int n = 0; n < NT / 16; n++) {
                uint32_t b[4];
                const int output = n * 16 + lane % 8 + lane / 16 * 8;
                load_matrices(b, weights + (tap * NT + output) * PITCH + lane / 8 % 2 * 16);
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    multiply<T>(sums[m][2 * n], a[m], b[0], b[1]);
                    multiply<T>(sums[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int y = top + warp * 2 + m, x = left + lane / 4 + half * 8;
            if (y >= height || x >= width) continue;
            T *pixel = ys + (((long)image * height + y) * width + x) * outputs + first + lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < NT / 8; n++) {
                float pair[2] = {sums[m][n][2 * half], sums[m][n][2 * half + 1]};
                if (accumulate) {
                    float before[2];
                    load<T, 2>(before, pixel + n * 8);
                    pair[0] += before[0];
                    pair[1] += before[1];
                }
                store<T, 2>(pixel + n * 8, pair);
            }
        }
}

// Fragments of the transposed gradients and of the input: 16 channels of K pixels. `pixels` is the
// first one's row in shared memory.
template <typename T, int PITCH> struct Fragments {
    static constexpr int K = 16;
    static __device__ __forceinline__ void of_gradients(uint32_t (&a)[1][4], const char *pixels, int lane) {
        load_transposed(a[0], pixels + (lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * 16);
    }
    static __device__ __forceinline__ void of_input(uint32_t (&b)[1][4], const char *pixels, int lane) {
        load_transposed(b[0], pixels + (lane % 16) * PITCH + lane / 16 * 16);
    }
};
template <int PITCH> struct Fragments<float, PITCH> {
    static __device__ __forceinline__ uint32_t at(const char *pixels, int pixel, int channel) {
        return *reinterpret_cast<const uint32_t *>(pixels + pixel * PITCH + channel * 4);
    }
    static __device__ __forceinline__ void of_gradients(uint32_t (&a)[2][4], const char *pixels, int lane) {
        const int g = lane / 4, t = lane % 4;
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < 4; i++) a[k][i] = at(pixels, 8 * k + t + i / 2 * 4, g + i % 2 * 8);
    }
    static __device__ __forceinline__ void of_input(uint32_t (&b)[2][4], const char *pixels, int lane) {
        const int g = lane / 4, t = lane % 4;
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < 4; i++) b[k][i] = at(pixels, 8 * k + t + i % 2 * 4, g + i / 2 * 8);
    }
};

// Part of the weight's gradient: partial [blocks, taps, outputs, inputs], each block with the tiles of
// pixels that are gridDim.x apart. blockIdx: block, 16 outputs, 16 inputs.
template <typename T, int KERNEL>
__device__ void conv2d_weight(const T *grads, int outputs, const T *xs, int channels, const T *more, int more_channels,
                              float *partial, int images, int height, int width) {
    constexpr int REACH = KERNEL / 2, TAPS = KERNEL * KERNEL;
    constexpr int BYTES = 16 * sizeof(T), PITCH = BYTES + 16, STEPS = sizeof(T) / 2;
    constexpr int WINDOW_ROWS = ROWS + 2 * REACH, WINDOW_COLUMNS = COLUMNS + 2 * REACH;
    __shared__ __align__(16) char window[WINDOW_ROWS * WINDOW_COLUMNS * PITCH];
    __shared__ __align__(16) char gradients[ROWS * COLUMNS * PITCH];
    __shared__ float totals[TAPS][16][16];

    const int output = blockIdx.y * 16, input = blockIdx.z * 16;
    const bool in_first = input < channels;
    const Map<T> map = in_first ? Map<T>{xs, channels} : Map<T>{more, more_channels};
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int across = (width + COLUMNS - 1) / COLUMNS, tiles = across * ((height + ROWS - 1) / ROWS);

    Window<T, BYTES, PITCH, WINDOW_ROWS, WINDOW_COLUMNS> seen;
    Window<T, BYTES, PITCH, ROWS, COLUMNS> given;
    auto fetch = [&](int tile) {
        const int image = tile / tiles, top = tile % tiles / across * ROWS, left = tile % tiles % across * COLUMNS;
        given.fetch(Map<T>{grads, outputs}, image, output, height, width, top, left);
        seen.fetch(map, image, in_first ? input : input - channels, height, width, top - REACH, left - REACH);
    };

    // The next tile comes from memory while one is computed.
    float sums[TAPS][2][4] = {};
    const int all = images * tiles;
    if (blockIdx.x < all) fetch(blockIdx.x);
    for (int tile = blockIdx.x; tile < all; tile += gridDim.x) {
        __syncthreads();
        given.put(gradients);
        seen.put(window);
        __syncthreads();
        if (tile + gridDim.x < all) fetch(tile + gridDim.x);
#pragma unroll
        for (int m = 0; m < 2; m++) {
            const int row = warp * 2 + m;
            uint32_t a[STEPS][4];
            Fragments<T, PITCH>::of_gradients(a, gradients + row * COLUMNS * PITCH, lane);
#pragma unroll
            for (int tap = 0; tap < TAPS; tap++) {
                uint32_t b[STEPS][4];
                const int first = (row + tap / KERNEL) * WINDOW_COLUMNS + tap % KERNEL;
                Fragments<T, PITCH>::of_input(b, window + first * PITCH, lane);
#pragma unroll
                for (int k = 0; k < STEPS; k++) {
                    multiply<T>(sums[tap][0], a[k], b[k][0], b[k][1]);
                    multiply<T>(sums[tap][1], a[k], b[k][2], b[k][3]);
                }
            }
        }
    }
    for (int turn = 0; turn < WARPS; turn++) {
        __syncthreads();
        if (turn != warp) continue;
#pragma unroll
        for (int tap = 0; tap < TAPS; tap++)
#pragma unroll
            for (int n = 0; n < 2; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float &total = totals[tap][lane / 4 + i / 2 * 8][n * 8 + lane % 4 * 2 + i % 2];
                    total = (turn == 0 ? 0.f : total) + sums[tap][n][i];
                }
    }
    __syncthreads();
    const int inputs = channels + more_channels;
    for (int i = threadIdx.x; i < TAPS * 256; i += THREADS) {
        const int tap = i / 256, o = i / 16 % 16, c = i % 16;
        partial[(((long)blockIdx.x * TAPS + tap) * outputs + output + o) * inputs + input + c] = totals[tap][o][c];
    }
}

#define CONV2D(T, NAME, KERNEL, NT)                                                                                       \
    extern "C" __global__ void __launch_bounds__(THREADS) conv2d_##KERNEL##_##NT##_##NAME(                                \
        const T *xs, int channels, const T *more, int more_channels, const T *weight, long tap_step, int output_step,     \
        T *ys, int height, int width, int outputs, int accumulate) {                                                      \
        conv2d<T, KERNEL, NT>(xs, channels, more, more_channels, weight, tap_step, output_step, ys, height, width,        \
                              outputs, accumulate);                                                                       \
    }
#define CONV2D_WEIGHT(T, NAME, KERNEL)                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) conv2d_weight_##KERNEL##_##NAME(                                \
        const T *grads, int outputs, const T *xs, int channels, const T *more, int more_channels, float *partial,         \
        int images, int height, int width) {                                                                              \
        conv2d_weight<T, KERNEL>(grads, outputs, xs, channels, more, more_channels, partial, images, height, width);      \
    }
#define FOR_TYPE(T, NAME)        \
    CONV2D(T, NAME, 3, 16)       \
    CONV2D(T, NAME, 3, 32)       \
    CONV2D(T, NAME, 3, 64)       \
    CONV2D(T, NAME, 1, 16)       \
    CONV2D(T, NAME, 1, 32)       \
    CONV2D(T, NAME, 1, 64)       \
    CONV2D_WEIGHT(T, NAME, 3)    \
    CONV2D_WEIGHT(T, NAME, 1)
FOR_TYPE(float, f32)
FOR_TYPE(bf16, bf16)
FOR_TYPE(f16, f16)
