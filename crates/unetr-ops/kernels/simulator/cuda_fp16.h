#pragma once
typedef _Float16 __half;
inline float __half2float(__half x) { return x; }
inline __half __float2half(float x) { return x; }
