// The primitives of step.cu, which a block of THREADS threads executes together, under the names that products.h has for vectors.
//
// Invariant: all threads of a block call each function, and a function that writes what other threads read ends with a barrier.
// Matrices of activations have NB columns, one per sample of the batch.
#pragma once
#ifndef __CUDACC__
#include "shim.h"  // for the tests, which run the same source as C++ threads
#define DYNAMIC_SHARED(name) float* name = dynamic_shared
#else
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
#define DYNAMIC_SHARED(name) extern __shared__ float4 name##_[]; float* name = (float*)name##_
#endif
#define DEVICE_MEMBER __device__ __forceinline__
#define DEVICE static __device__ __forceinline__
typedef float real;
typedef float4 V;
constexpr int VW = 4, B = NB, WARPS = THREADS / 32, GROUPS = NB / 4;
#define LANES(j, count) _Pragma("unroll 1") for (int j = threadIdx.x; j < (int)(count); j += THREADS)
#define LANE ((int)threadIdx.x % 32)
#define WARP ((int)threadIdx.x / 32)

DEVICE V vec(float x, float y, float z, float w) {
    V v;
    v.x = x, v.y = y, v.z = z, v.w = w;
    return v;
}
DEVICE V load(const real* p) { return *(const V*)p; }
DEVICE void store(real* p, V x) { *(V*)p = x; }
DEVICE V splat(real x) { return vec(x, x, x, x); }
DEVICE V load_or_zero(const real* p, int j) { return p ? load(p + j) : splat(0.f); }
DEVICE V operator+(V a, V b) { return vec(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
DEVICE V operator-(V a, V b) { return vec(a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w); }
DEVICE V operator*(V a, V b) { return vec(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }
DEVICE V operator/(V a, V b) { return vec(__fdividef(a.x, b.x), __fdividef(a.y, b.y), __fdividef(a.z, b.z), __fdividef(a.w, b.w)); }
DEVICE V operator-(V a) { return vec(-a.x, -a.y, -a.z, -a.w); }
DEVICE float sigmoid1(float x) { return __fdividef(1.f, 1.f + __expf(-x)); }
DEVICE float tanh1(float x) { return 1.f - __fdividef(2.f, 1.f + __expf(x + x)); }  // e^2x = inf gives 1
#define EACH(f, v) vec(f(v.x), f(v.y), f(v.z), f(v.w))
DEVICE float relu1(float x) { return x < 0.f ? 0.f : x; }
DEVICE float positive1(float x) { return x > 0.f ? 1.f : 0.f; }
DEVICE V v_exp(V v) { return EACH(__expf, v); }
DEVICE V v_sigmoid(V v) { return EACH(sigmoid1, v); }
DEVICE V v_tanh(V v) { return EACH(tanh1, v); }
DEVICE V v_relu(V v) { return EACH(relu1, v); }
DEVICE V v_positive(V v) { return EACH(positive1, v); }
// Applies a function of single numbers to each element of some vectors.
template <class F, class... X>
DEVICE V each(F f, X... v) { return vec(f(v.x...), f(v.y...), f(v.z...), f(v.w...)); }

// ---- matrices of which a thread reads four samples of a row ---------------------------------------------------------------
struct Rows {  // (K, B) numbers
    const real* H;
    DEVICE_MEMBER V at(int k, int c) const { return *(const V*)(H + k * NB + c); }
};
struct Bits {  // (K, B) zeros and ones, 32 rows per word
    const int32_t* W;
    DEVICE_MEMBER V at(int k, int c) const {
        const int4 w = *(const int4*)(W + (k / 32) * NB + c);
        const int s = k % 32;
        return vec(__int_as_float(-((w.x >> s) & 1) & 0x3f800000), __int_as_float(-((w.y >> s) & 1) & 0x3f800000),
                   __int_as_float(-((w.z >> s) & 1) & 0x3f800000), __int_as_float(-((w.w >> s) & 1) & 0x3f800000));
    }
};

// ---- products -------------------------------------------------------------------------------------------------------------
struct Term {
    const real* A;
    int row, col;
    const real* H;
    int K;
};

template <int TM, class X>
DEVICE void accumulate(float (&acc)[TM][4], const real* A, const int (&at)[TM], int col, int K, X x, int c) {
#pragma unroll 4
    for (int k = 0; k < K; k++) {
        const V h = x.at(k, c);
#pragma unroll
        for (int i = 0; i < TM; i++) {
            const float a = A[at[i] + k * col];
            acc[i][0] += a * h.x, acc[i][1] += a * h.y, acc[i][2] += a * h.z, acc[i][3] += a * h.w;
        }
    }
}

// C[r, c] = bias[r] + base[r, c] + sum over terms of A(r, k) H[k, c]. Each thread computes TM rows and 4 columns; neighbouring threads have
// the same rows, so that A is broadcast to them. `first` stands for the H of the first term. bias: (R), base and C: (R, NB).
template <int TM, int TERMS, class X>
DEVICE void product_of(int R, const Term* term, X first, const real* bias, const real* base, real* C) {
    __syncthreads();
    const int tiles = (R + TM - 1) / TM;
#pragma unroll 1
    for (int w = threadIdx.x; w < tiles * GROUPS; w += THREADS) {
        const int c = w % GROUPS * 4, r0 = w / GROUPS * TM;
        float acc[TM][4];
        int row[TM];
#pragma unroll
        for (int i = 0; i < TM; i++) {
            const int r = row[i] = r0 + i < R ? r0 + i : R - 1;
            const float b = bias ? bias[r] : 0.f;
            const V from = base ? load(base + r * NB + c) : splat(0.f);
            acc[i][0] = b + from.x, acc[i][1] = b + from.y, acc[i][2] = b + from.z, acc[i][3] = b + from.w;
        }
#pragma unroll
        for (int q = 0; q < TERMS; q++) {
            int at[TM];
#pragma unroll
            for (int i = 0; i < TM; i++) at[i] = row[i] * term[q].row;
            if (q == 0) accumulate(acc, term[q].A, at, term[q].col, term[q].K, first, c);
            else accumulate(acc, term[q].A, at, term[q].col, term[q].K, Rows{term[q].H}, c);
        }
#pragma unroll
        for (int i = 0; i < TM; i++)
            if (r0 + i < R) store(C + (r0 + i) * NB + c, vec(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));
    }
    __syncthreads();
}
template <int TM, int TERMS>
DEVICE void product(int R, const Term* term, const real* bias, const real* base, real* C) {
    product_of<TM, TERMS>(R, term, Rows{TERMS ? term[0].H : nullptr}, bias, base, C);
}

// ---- sums over samples ----------------------------------------------------------------------------------------------------
DEVICE float warp_sum(float x) {
#pragma unroll
    for (int m = 16; m; m /= 2) x += __shfl_xor_sync(0xffffffffu, x, m);
    return x;
}

// Sums each of 16 values over the lanes of a warp: lane l returns the sum of value l % 16.
DEVICE float reduce16(float* v) {
#pragma unroll
    for (int half = 8; half; half /= 2)
#pragma unroll
        for (int i = 0; i < half; i++) {
            const bool up = LANE & half;
            const float keep = up ? v[i + half] : v[i], give = up ? v[i] : v[i + half];
            v[i] = keep + __shfl_xor_sync(0xffffffffu, give, half);
        }
    return v[0] + __shfl_xor_sync(0xffffffffu, v[0], 16);
}

// G[r, k] = sum over t, b of D_t[r, b] X_t[k, b]. Each warp computes 4 x 4 numbers; its lanes divide steps and samples among themselves.
// D_t: (R, NB), dstep numbers apart; x_at(t): (K, NB); G: (R, K).
template <class AT>
DEVICE void gradient_of(int R, int K, int T, const real* D, int dstep, AT x_at, real* G) {
    __syncthreads();
    const int tk = (K + 3) / 4, tiles = (R + 3) / 4 * tk;
#pragma unroll 1
    for (int w = WARP; w < tiles; w += WARPS) {
        const int r0 = w / tk * 4, k0 = w % tk * 4;
        float acc[16];
#pragma unroll
        for (int i = 0; i < 16; i++) acc[i] = 0.f;
#pragma unroll 1
        for (int u = LANE; u < T * GROUPS; u += 32) {
            const int t = u / GROUPS, b = u % GROUPS * 4;
            V d[4], h[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                d[i] = load(D + t * dstep + (r0 + i < R ? r0 + i : R - 1) * NB + b);
                h[i] = x_at(t).at(k0 + i < K ? k0 + i : K - 1, b);
            }
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) acc[i * 4 + j] += d[i].x * h[j].x + d[i].y * h[j].y + d[i].z * h[j].z + d[i].w * h[j].w;
        }
        const float sum = reduce16(acc);
        const int r = r0 + LANE % 16 / 4, k = k0 + LANE % 4;
        if (LANE < 16 && r < R && k < K) G[r * K + k] = sum;
    }
    __syncthreads();
}
struct RowsAt {
    const real* H;
    int step;
    DEVICE_MEMBER Rows operator()(int t) const { return Rows{H + t * step}; }
};
struct BitsAt {
    const int32_t* W;
    DEVICE_MEMBER Bits operator()(int) const { return Bits{W}; }
};
DEVICE void matrix_gradient(int R, int K, int T, const real* D, int dstep, const real* H, int hstep, real* G) {
    gradient_of(R, K, T, D, dstep, RowsAt{H, hstep}, G);
}

// G[r] = sum over t, b of D_t[r, b]; one warp per row.
DEVICE void row_sums(int R, int T, const real* D, int dstep, real* G) {
    __syncthreads();
#pragma unroll 1
    for (int r = WARP; r < R; r += WARPS) {
        float s = 0.f;
        for (int u = LANE; u < T * GROUPS; u += 32) {
            const V d = load(D + u / GROUPS * dstep + r * NB + u % GROUPS * 4);
            s += d.x + d.y + d.z + d.w;
        }
        s = warp_sum(s);
        if (LANE == 0) G[r] = s;
    }
    __syncthreads();
}

// D_0 += D_1 + ... + D_{T-1}, of `count` numbers each.
DEVICE void sum_steps(int count, int T, real* D, int dstep) {
#pragma unroll 1
    for (int j = threadIdx.x * VW; j < count; j += THREADS * VW) {
        V s = load(D + j);
        for (int t = 1; t < T; t++) s = s + load(D + t * dstep + j);
        store(D + j, s);
    }
    __syncthreads();
}

// Copies `count` numbers, a multiple of four. Without a barrier.
DEVICE void move(real* to, const real* from, int count) {
#pragma unroll 8
    for (int j = threadIdx.x * VW; j < count; j += THREADS * VW) store(to + j, load(from + j));
}

// ---- symbols --------------------------------------------------------------------------------------------------------------
// out[r, b] = bias[r] + sum over streams of A[r, symbol of sample b]. A: (R, I), symbols: (streams, NB), bias: (R), out: (R, NB).
DEVICE void gather(int R, int I, const real* A, int streams, const int32_t* symbols, const real* bias, real* out) {
    __syncthreads();
    LANES(j, R * NB) {
        const int r = j / NB, b = j % NB;
        float s = bias ? bias[r] : 0.f;
        for (int m = 0; m < streams; m++) s += A[r * I + symbols[m * NB + b]];
        out[j] = s;
    }
    __syncthreads();
}

// G[r, k] = sum of D_t[r, b] over the t, b and streams whose symbol is k. Each warp has four rows and each lane a symbol, so the order of
// the sums is always the same, which atomic additions would not guarantee. D_t: (R, NB), symbols: (T, streams, NB), G: (R, I).
DEVICE void scatter(int R, int I, int T, const real* D, int dstep, int streams, const int32_t* symbols, real* G) {
    __syncthreads();
    for (int r0 = WARP * 4; r0 < R; r0 += WARPS * 4)
        for (int k = LANE; k - LANE < I; k += 32) {
            float acc[4] = {0.f, 0.f, 0.f, 0.f};
            for (int t = 0; t < T; t++)
                for (int m = 0; m < streams; m++)
                    for (int b = 0; b < NB; b += 4) {
                        const int4 s = *(const int4*)(symbols + (t * streams + m) * NB + b);
#pragma unroll
                        for (int i = 0; i < 4; i++) {
                            const V d = load(D + t * dstep + (r0 + i < R ? r0 + i : R - 1) * NB + b);
                            acc[i] += (s.x == k ? d.x : 0.f) + (s.y == k ? d.y : 0.f) + (s.z == k ? d.z : 0.f) + (s.w == k ? d.w : 0.f);
                        }
                    }
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (r0 + i < R && k < I) G[(r0 + i) * I + k] = acc[i];
        }
    __syncthreads();
}
