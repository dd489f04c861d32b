#pragma once
#include <cstdint>
#include <cstring>
struct __nv_bfloat16 {
    uint16_t bits;
};
inline float __bfloat162float(__nv_bfloat16 x) {
    const uint32_t wide = (uint32_t)x.bits << 16;
    float y;
    memcpy(&y, &wide, 4);
    return y;
}
inline __nv_bfloat16 __float2bfloat16(float x) {
    uint32_t wide;
    memcpy(&wide, &x, 4);
    return {(uint16_t)((wide + 0x7fff + (wide >> 16 & 1)) >> 16)};
}
