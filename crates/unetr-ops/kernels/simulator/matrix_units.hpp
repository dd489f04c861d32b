// The instructions of the matrix units, by their definition in the PTX manual (sections on mma.m16n8k16, mma.m16n8k8
// and ldmatrix).
#pragma once
#include <array>

typedef std::array<uint32_t, 6> Registers;

// Element `i` of 4 bytes.
template <typename T> float element(uint32_t word, int i) {
    T all[4 / sizeof(T)];
    memcpy(all, &word, 4);
    return to_float(all[i]);
}

template <typename T> void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    constexpr int PER_WORD = 4 / sizeof(T), HALF = 4 * PER_WORD; // columns of a word, of a register
    const auto all = gather(Registers{a[0], a[1], a[2], a[3], b0, b1});
    const int lane = thread() % 32;
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 2 * HALF; k++) {
            const int inner = k % HALF, word = inner / PER_WORD, at = inner % PER_WORD;
            const float left = element<T>(all[row % 8 * 4 + word][row / 8 + k / HALF * 2], at);
            const float right = element<T>(all[column * 4 + word][4 + k / HALF], at);
            c[i] += left * right;
        }
    }
}

inline void load_matrices(uint32_t (&to)[4], const void *row) {
    const auto rows = gather((const char *)row);
    const int lane = thread() % 32;
    for (int m = 0; m < 4; m++) memcpy(&to[m], rows[m * 8 + lane / 4] + lane % 4 * 4, 4);
}

inline void load_transposed(uint32_t (&to)[4], const void *row) {
    const auto rows = gather((const char *)row);
    const int lane = thread() % 32;
    for (int m = 0; m < 4; m++)
        for (int i = 0; i < 2; i++) memcpy((char *)&to[m] + 2 * i, rows[m * 8 + lane % 4 * 2 + i] + lane / 4 * 2, 2);
}
