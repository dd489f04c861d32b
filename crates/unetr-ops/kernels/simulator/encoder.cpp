#include "simulator.hpp"

#include "../encoder.cu"

typedef std::pair<double, double> Pair;

// Layer normalisation and the sums of columns, whose rows are as long as N divides.
template <int N> void check(int rows, int width) {
    const auto xs = numbers(rows * width), weight = numbers(width), bias = numbers(width), grads = numbers(rows * width);
    std::vector<float> ys(rows * width, NAN), statistics(2 * rows, NAN), dx(rows * width, NAN);
    constexpr int chunks = 3;
    std::vector<float> partial(chunks * 2 * width, NAN), of_bias(width, NAN), of_weight(width, NAN);
    const unsigned warps = (rows + 7) / 8, across = (width + 32 * N - 1) / (32 * N);
    launch({warps}, {32, 8}, [&] {
        layer_norm<float, N>(xs.data(), weight.data(), bias.data(), ys.data(), statistics.data(), rows, width, 1e-6f);
    });
    launch({warps}, {32, 8}, [&] {
        layer_norm_gradient<float, N>(grads.data(), xs.data(), weight.data(), statistics.data(), nullptr, dx.data(), rows, width);
    });
    launch({across, chunks}, {32, 8}, [&] {
        column_sums<float, N>(grads.data(), xs.data(), statistics.data(), partial.data(), rows, width);
    });
    launch({unsigned(2 * width + 7) / 8}, {32, 8}, [&] {
        column_totals(partial.data(), of_bias.data(), of_weight.data(), chunks, width);
    });
    std::vector<double> x(rows * width), inverse(rows);
    for (int row = 0; row < rows; row++) {
        double mean = 0, square = 0;
        for (int i = 0; i < width; i++) mean += xs[row * width + i] / double(width);
        for (int i = 0; i < width; i++) square += pow(xs[row * width + i] - mean, 2) / width;
        inverse[row] = 1 / sqrt(square + 1e-6);
        for (int i = 0; i < width; i++) x[row * width + i] = (xs[row * width + i] - mean) * inverse[row];
    }
    compare("layer_norm", rows * width, 1e-5, [&](int i) { return Pair(ys[i], x[i] * weight[i % width] + bias[i % width]); });
    compare("gradient of the input", rows * width, 1e-5, [&](int i) {
        const int row = i / width * width;
        double mean = 0, product = 0;
        for (int k = 0; k < width; k++) {
            mean += grads[row + k] * weight[k] / double(width);
            product += grads[row + k] * weight[k] * x[row + k] / width;
        }
        return Pair(dx[i], inverse[i / width] * (grads[i] * weight[i % width] - mean - x[i] * product));
    });
    auto sum = [&](bool times, int column) {
        double total = 0;
        for (int row = 0; row < rows; row++) total += grads[row * width + column] * (times ? x[row * width + column] : 1);
        return total;
    };
    compare("gradient of the bias", width, 1e-5, [&](int i) { return Pair(of_bias[i], sum(false, i)); });
    compare("gradient of the weight", width, 1e-5, [&](int i) { return Pair(of_weight[i], sum(true, i)); });
}

int main() {
    check<1>(13, 39);
    check<4>(21, 140);
    return failures != 0;
}
