// Updates of many parameters in place, and the norm of many gradients, in f32. What a launch is about
// stands in a table, a row for each tensor; every row begins with the first of the tensor's blocks and
// the tensor's size. A block has CHUNK elements of one tensor.
constexpr int THREADS = 256, CHUNK = 8 * THREADS;

struct Part {
    long first, last;
};

// The row of a block's tensor: the last one that begins at the block or before.
template <typename R> __device__ __forceinline__ const R &row_of(const R *rows, int count) {
    int low = 0, high = count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (rows[middle].block <= blockIdx.x) low = middle;
        else high = middle;
    }
    return rows[low];
}

template <typename R> __device__ __forceinline__ Part part_of(const R &row) {
    const long start = (blockIdx.x - row.block) * CHUNK;
    return {start + threadIdx.x, min(row.count, start + CHUNK)};
}

struct Adam {
    long block, count;
    float *parameter;
    const float *gradient;
    // The mean of the gradients, then that of their squares.
    float *moments;
    float gradient_scale, keep_mean, take_mean, keep_square, take_square;
    // Both with the correction of the bias.
    float rate, root;
    float eps, keep;
};

// Adam (Kingma and Ba 2015) with decoupled decay.
extern "C" __global__ void adam(const Adam *rows, int count) {
    const Adam row = row_of(rows, count);
    const Part part = part_of(row);
    float *means = row.moments, *squares = row.moments + row.count;
#pragma unroll 4
    for (long i = part.first; i < part.last; i += THREADS) {
        const float gradient = row.gradient_scale * row.gradient[i];
        const float mean = row.keep_mean * means[i] + row.take_mean * gradient;
        const float square = row.keep_square * squares[i] + row.take_square * gradient * gradient;
        means[i] = mean;
        squares[i] = square;
        row.parameter[i] = row.keep * row.parameter[i] - row.rate * mean / (sqrtf(square) * row.root + row.eps);
    }
}

struct Average {
    long block, count;
    float *average;
    const float *value;
};

// average = (1 - take) · average + take · value
extern "C" __global__ void moving_average(const Average *rows, int count, float take) {
    const Average row = row_of(rows, count);
    const Part part = part_of(row);
#pragma unroll 4
    for (long i = part.first; i < part.last; i += THREADS)
        row.average[i] += take * (row.value[i] - row.average[i]);
}

struct Numbers {
    long block, count;
    const float *numbers;
};

__device__ __forceinline__ void block_sum(double sum, double *to) {
    __shared__ double shared[THREADS / 32];
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) sum += __shfl_xor_sync(~0u, sum, lane);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x > 0) return;
    sum = 0;
    for (int warp = 0; warp < THREADS / 32; warp++) sum += shared[warp];
    *to = sum;
}

// The sum of the squares of every block, in double and in a fixed order.
extern "C" __global__ void squares(const Numbers *rows, double *partial, int count) {
    const Numbers row = row_of(rows, count);
    const Part part = part_of(row);
    double sum = 0;
#pragma unroll 4
    for (long i = part.first; i < part.last; i += THREADS) {
        const double x = row.numbers[i];
        sum += x * x;
    }
    block_sum(sum, partial + blockIdx.x);
}

// Adds up the blocks. One block.
extern "C" __global__ void squares_total(const double *partial, double *total, int blocks) {
    double sum = 0;
    for (int i = threadIdx.x; i < blocks; i += THREADS) sum += partial[i];
    block_sum(sum, total);
}
