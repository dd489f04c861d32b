#include "simulator.hpp"

#include "../images.cu"

typedef std::pair<double, double> Pair;

// More pixels than one pass of the two rows of blocks has.
template <int N> void check(int images, int pixels) {
    const float shifts[] = {120, 110, 100}, scales[] = {0.02f, 0.03f, 0.04f};
    std::vector<unsigned char> xs(images * 3 * pixels);
    for (size_t i = 0; i < xs.size(); i++) xs[i] = i * 2654435761u >> 24;
    std::vector<float> ys(xs.size(), NAN);
    launch({unsigned(3 * images), 2}, {32}, [&] {
        normalize<N>(xs.data(), ys.data(), pixels, {shifts[0], shifts[1], shifts[2]}, {scales[0], scales[1], scales[2]});
    });
    compare("normalize", xs.size(), 0, [&](int i) {
        const int channel = i / pixels % 3;
        return Pair(ys[i], (xs[i] - shifts[channel]) * scales[channel]);
    });
}

int main() {
    check<1>(2, 77);
    check<4>(2, 300);
    return failures != 0;
}
